package apitest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/expect"
	"barong/internal/peer"
	"barong/internal/peer/peertest"
	"barong/internal/rest/resttest"
	"barong/management"
)

// Peers shapes the file of the management API at Mount: for every scope alex must sign, and jeff may.
type Peers struct {
	// Missing are scopes that are not in it, and Both those for which jeff must sign, too.
	Missing, Both []string
}

var (
	peersOnce sync.Once
	peersKeys *peertest.Peers
)

// peers have keys that take a while to make: worlds share them.
func peers(t testing.TB) *peertest.Peers {
	peersOnce.Do(func() { peersKeys = peertest.New(t) })
	return peersKeys
}

// Signers have the keys that the file knows.
func (w *World) Signers() *peertest.Peers { return peers(w.T) }

// verifier verifies by the file, with the claims of messages in the database.
func (w *World) verifier() *peer.Verifier {
	w.T.Helper()
	scopes := slices.DeleteFunc(management.Scopes(), func(s string) bool { return slices.Contains(w.Peers.Missing, s) })
	text := peers(w.T).Text(w.T, "{}", scopes...)
	for _, s := range w.Peers.Both {
		from := "  " + s + ": {permitted_signers: [alex, jeff], mandatory_signers: [alex"
		text = strings.Replace(text, from, from+", jeff", 1)
	}
	file := expect.Must(peer.Parse([]byte(text)))(w.T)
	return expect.Must(peer.NewVerifier(configured.Peers(config.Default()), file, w.DB, w.clock))(w.T)
}

// Peer is a client that has its JSON bodies signed by these services, as the data of fresh messages.
func (w *World) Peer(signers ...string) *resttest.Client {
	w.T.Helper()
	return w.Client().Before(func(r *http.Request) {
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		body, _ := io.ReadAll(r.Body) // in memory
		if len(body) == 0 {
			body = []byte("null")
		}
		if media == "application/json" && json.Valid(body) {
			body = peers(w.T).Sign(w.T, json.RawMessage(body), w.Clock(), signers...)
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
	})
}
