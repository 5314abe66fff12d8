package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"barong/e2e"
	"barong/internal/account"
)

// client is for everything that is asked: many at once, none for long.
var client = &http.Client{
	Timeout:   3 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 128, IdleConnTimeout: 30 * time.Second, DialContext: dialAsAnother},
}

var dialed atomic.Uint32

// dialAsAnother connects from another address each time, because the gateway bounds the
// requests of one.
func dialAsAnother(ctx context.Context, network, address string) (net.Conn, error) {
	from := net.IPv4(127, 0, 1, byte(1+dialed.Add(1)%250))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	return d.DialContext(ctx, network, address)
}

// Gate is the name of Envoy, which asks the replicas in turn.
const Gate = "gate"

// Ask sends a request through the gate, or asks the replica of that name about it by
// forward-auth.
func (c *Cluster) Ask(ctx context.Context, by string, g *Grant) Answer {
	url := c.Gate + g.Path
	for _, r := range c.replicas {
		if r.Name == by {
			url = "http://" + r.Forward + "/api/v2/auth" + g.Path
		}
	}
	a := Answer{By: by}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		a.Err = err
		return a
	}
	g.headers(req.Header)
	a.Asked = time.Now()
	resp, err := client.Do(req)
	if err == nil {
		err = a.read(resp)
	}
	a.Err, a.Got = err, time.Now()
	return a
}

func (a *Answer) read(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	a.Status = resp.StatusCode
	switch {
	case a.Status != http.StatusOK:
		var denial struct{ Errors []string }
		if json.Unmarshal(body, &denial) != nil || len(denial.Errors) != 1 {
			a.Reason = string(body)
			return nil
		}
		a.Reason = denial.Errors[0]
	case a.By == Gate:
		var seen e2e.Echoed
		if err := json.Unmarshal(body, &seen); err != nil {
			return err
		}
		a.UID, _ = seen.Claims["uid"].(string)
	default:
		a.Claims = claimsOf(resp.Header.Get("Authorization"))
		a.UID = a.Claims.UID
	}
	return nil
}

// Claims are those of a bearer token that decisions and upstreams go by.
type Claims struct {
	UID, Role, State string
	Level            int
}

// claimsOf are the claims of a bearer token, which is not verified: nobody's if it has none.
func claimsOf(authorization string) (claims Claims) {
	parts := strings.Split(authorization, ".")
	if len(parts) != 3 {
		return claims
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims
	}
	_ = json.Unmarshal(payload, &claims)
	return claims
}

// admin makes a change over REST on a replica as a superadmin, with the token that the
// replica gives for the session.
func (c *Cluster) admin(ctx context.Context, on *Replica, method, path string, body map[string]any) error {
	token, err := c.staffToken(ctx, on, path)
	if err != nil {
		return fmt.Errorf("token for the admin API: %w", err)
	}
	return call(ctx, on, method, path, func(h http.Header) {
		h.Set("Authorization", token)
		h.Set("X-Forwarded-For", c.staff.ip.String())
		h.Set("User-Agent", userAgent)
	}, body)
}

// staffToken asks for a token, unless the replica has one for everything. It asks twice at
// most: Redis may have lost the session.
func (c *Cluster) staffToken(ctx context.Context, on *Replica, path string) (string, error) {
	if token, ok := c.tokens[on]; ok {
		return token, nil
	}
	for try := 1; ; try++ {
		if c.staff == nil {
			c.staff = c.signedIn(c.t, "superadmin", account.RoleSuperadmin, "")
		}
		// A GET, because a token is asked for and not the change: those want a CSRF token, too.
		question := "http://" + on.Forward + "/api/v2/auth/api/v2/barong" + strings.TrimPrefix(path, "/api/v2")
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, question, nil)
		if err != nil {
			return "", err
		}
		c.staff.headers(req.Header)
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		resp.Body.Close()
		switch token := resp.Header.Get("Authorization"); {
		case token != "":
			return token, nil
		case resp.StatusCode != http.StatusUnauthorized || try == 2:
			return "", errors.New(resp.Status)
		}
		c.staff = nil
	}
}

// call makes one REST call and fails unless it says 2xx.
func call(ctx context.Context, on *Replica, method, path string, headers func(http.Header), body map[string]any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+on.HTTP+path, content)
	if err != nil {
		return err
	}
	headers(req.Header)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s on %s: %w", method, path, on.Name, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = errors.New(resp.Status + " " + string(text))
	}
	if err != nil {
		return fmt.Errorf("%s %s on %s: %w", method, path, on.Name, err)
	}
	return nil
}
