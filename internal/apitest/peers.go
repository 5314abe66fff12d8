package apitest

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"barong/internal/rest/resttest"
	"barong/management"
)

// Peers opens bodies that Peer has made, and verifies nothing: alex must sign for every scope, and jeff
// may.
type Peers struct {
	// Missing are scopes that nobody has configured, and Both those for which jeff must sign, too.
	Missing, Both []string
}

// enclosed is a body that Peers opens.
type enclosed struct {
	By     []string        `json:"signers"`
	Claims json.RawMessage `json:"data"`
	peers  *Peers
}

// Open implements management.Envelopes.
func (p *Peers) Open(_ context.Context, scope string, body []byte) (management.Opened, error) {
	in := enclosed{peers: p}
	if err := json.Unmarshal(body, &in); err != nil {
		if !json.Valid(body) {
			return nil, management.ErrNoEnvelope
		}
		return nil, management.ErrUnverified
	}
	if in.By == nil {
		return nil, management.ErrUnverified
	}
	return in, in.Also(scope)
}

func (e enclosed) Data() json.RawMessage { return e.Claims }

func (e enclosed) Signers() []string { return e.By }

func (e enclosed) Also(scope string) error {
	switch {
	case slices.Contains(e.peers.Missing, scope):
		return management.ErrUnverified
	case !slices.Contains(e.By, "alex"), slices.Contains(e.peers.Both, scope) && !slices.Contains(e.By, "jeff"):
		return management.ErrTooFew
	}
	return nil
}

// Peer is a client that has its JSON bodies signed by these services.
func (w *World) Peer(signers ...string) *resttest.Client {
	w.T.Helper()
	return w.Client().Before(func(r *http.Request) {
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		body, _ := io.ReadAll(r.Body) // in memory
		if len(body) == 0 {
			body = []byte("null")
		}
		if media == "application/json" && json.Valid(body) {
			text, _ := json.Marshal(enclosed{By: signers, Claims: body}) // valid JSON marshals
			body = text
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
	})
}
