package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"barong/internal/config"
	"barong/internal/peer"
	"barong/internal/secret"
	"barong/internal/strictyaml"
	"barong/internal/token"
	"barong/management"
)

// inManagement reports whether a path, read as leniently as any router might, is one of the
// management API. With and without, a listener agrees with itself on the same path.
func inManagement(r *http.Request) bool {
	for _, p := range []string{r.URL.Path, r.URL.EscapedPath()} {
		p = strings.ToLower(path.Clean("/" + p))
		for _, prefix := range []string{"/api/v2/management", "/api/v2/barong/management", "/api/v2/auth/management"} {
			if rest, ok := strings.CutPrefix(p, prefix); ok && (rest == "" || rest[0] == '/') {
				return true
			}
		}
	}
	return false
}

// managementOnly serves the management API of next and nothing else.
func managementOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !inManagement(r) {
			noManagement(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withoutManagement serves next but for the management API.
func withoutManagement(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inManagement(r) {
			noManagement(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noManagement answers as the management API does to an unknown path.
func noManagement(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"error":"Route is not found"}`))
}

// oddPeers warns of scopes that no endpoint has, and of messages that count more than once.
func oddPeers(s config.Settings, f peer.File) (odd []string) {
	for _, scope := range f.Scopes() {
		if slices.Contains(management.Scopes(), scope) {
			continue
		}
		hint := ""
		if near := strictyaml.Nearest(scope, management.Scopes()); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		odd = append(odd, fmt.Sprintf("BARONG_MANAGEMENT_API: %s: no endpoint has the scope %q%s", s.Peers.File, scope, hint))
	}
	if s.Peers.Replay == peer.ReplayOff && len(f.Scopes()) > 0 {
		odd = append(odd, "BARONG_MANAGEMENT_REPLAY is off: a body that was seen on its way can be sent again, one without exp forever")
	}
	return odd
}

type managementCmd struct {
	Sign managementSignCmd `cmd:"" help:"Print a signed body, for curl."`
}

// managementSignCmd needs no settings and no database: callers have neither.
type managementSignCmd struct {
	Data string        `arg:"" optional:"" default:"{}" help:"Parameters as a JSON object, @FILE that holds them, or - for standard input."`
	Keys []string      `name:"key" required:"" sep:"none" placeholder:"ID=FILE" help:"A signer: its id in the keychain, and the PEM file of its private key; once for each. ID:ALGORITHM=FILE names another algorithm than the usual one of the key."`
	Life time.Duration `default:"60s" help:"Time until the body expires; 300s at most is accepted."`
	Bind string        `placeholder:"'POST /users/get'" help:"Method and path for which alone the body is good."`
}

func (c managementSignCmd) Run(term *terminal) error {
	data, err := c.data(term)
	if err != nil {
		return usageError{err}
	}
	if c.Life < time.Second || c.Life > peer.MaxLifetime {
		return usageError{fmt.Errorf("management sign: --life is %s, want 1s to %s", c.Life, peer.MaxLifetime)}
	}
	now := time.Now()
	claims := map[string]any{
		"iat": now.Unix(), "exp": now.Add(c.Life).Unix(), "jti": secret.UUID(), "data": data,
	}
	if c.Bind != "" {
		method, path, ok := strings.Cut(c.Bind, " ")
		if !ok || !strings.HasPrefix(path, "/") {
			return usageError{fmt.Errorf("management sign: --bind is %q, want a method and a path", c.Bind)}
		}
		claims["method"], claims["path"] = method, path
	}
	var keys []token.PrivateKey
	for _, text := range c.Keys {
		k, err := readSigner(text)
		if err != nil {
			return usageError{fmt.Errorf("management sign: --key: %w", err)}
		}
		keys = append(keys, k)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	body, err := token.SignGeneral(payload, keys...)
	if err != nil {
		return err
	}
	_, err = term.out.Write(append(body, '\n'))
	return err
}

// data is the JSON object to send.
func (c managementSignCmd) data(term *terminal) (json.RawMessage, error) {
	text := []byte(c.Data)
	var err error
	if file, ok := strings.CutPrefix(c.Data, "@"); ok {
		text, err = os.ReadFile(file)
	} else if c.Data == "-" {
		text, err = io.ReadAll(io.LimitReader(term.in, peer.MaxUpload))
	}
	if err != nil {
		return nil, fmt.Errorf("management sign: %w", err)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil || object == nil {
		return nil, errors.New("management sign: the parameters are not a JSON object")
	}
	return text, nil
}

// readSigner reads ID=FILE or ID:ALGORITHM=FILE.
func readSigner(text string) (token.PrivateKey, error) {
	id, file, ok := strings.Cut(text, "=")
	id, algorithm, _ := strings.Cut(id, ":")
	if !ok || id == "" || file == "" {
		return token.PrivateKey{}, fmt.Errorf("it is %q, want ID=FILE", text)
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return token.PrivateKey{}, err
	}
	k, err := token.ParsePrivateKey(id, algorithm, pem)
	if err != nil {
		return token.PrivateKey{}, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}
