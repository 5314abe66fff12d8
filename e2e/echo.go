package e2e

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// An Echoed is a request that passed the gate, as an upstream saw it.
type Echoed struct {
	Method string `json:"method"`
	// Target is the request line's, undecoded, with the query.
	Target  string              `json:"target"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"`
	// Claims is the payload of the bearer token, decoded and not verified; null without one.
	Claims map[string]any `json:"claims"`
	Body   int64          `json:"body_bytes"`
}

// Echo is an upstream that answers every request with 200 and the request as it saw it (Echoed,
// as JSON). A websocket handshake is accepted: the same JSON comes as one text frame, then the
// connection is closed.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := Echoed{Method: r.Method, Target: r.RequestURI, Host: r.Host, Headers: r.Header}
		seen.Claims = claims(r.Header.Get("Authorization"))
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			acceptWebsocket(w, r, seen)
			return
		}
		seen.Body, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(seen)
	})
}

// claims decodes the payload of "Bearer <jwt>"; nil when it is not one.
func claims(authorization string) map[string]any {
	_, jwt, _ := strings.Cut(authorization, " ")
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var c map[string]any
	if json.Unmarshal(payload, &c) != nil {
		return nil
	}
	return c
}

// acceptWebsocket answers the handshake of RFC 6455 and sends one text frame.
func acceptWebsocket(w http.ResponseWriter, r *http.Request, seen Echoed) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "cannot upgrade", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
	text, _ := json.Marshal(seen)
	rw.Write([]byte{0x81, 126, byte(len(text) >> 8), byte(len(text))}) // final text frame, 16-bit length
	rw.Write(text)
	rw.Write([]byte{0x88, 0}) // close
	rw.Flush()
}

// StartEcho runs the echo binary bin on the given addresses until it is stopped, its log in
// dir. It returns when all of them accept.
func StartEcho(ctx context.Context, bin, dir string, addrs ...string) (*Process, error) {
	p, err := start("echo", dir, nil, bin, addrs...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = p.wait(ctx, func() bool {
		for _, a := range addrs {
			if !accepts(a) {
				return false
			}
		}
		return true
	})
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}
