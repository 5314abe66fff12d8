package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Timeout is how long a call may take, answer read to the end, unless a service says
// otherwise.
const Timeout = 3 * time.Second

const maxHeader = 32 << 10 // of an answer, bytes

// A Client calls one outside service. It is safe for concurrent use.
type Client struct{ http *http.Client }

// New makes a client. Zero timeout means Timeout. transport may be nil for a new one that
// takes proxies from the environment.
func New(timeout time.Duration, transport http.RoundTripper) *Client {
	if timeout <= 0 {
		timeout = Timeout
	}
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: timeout, MaxResponseHeaderBytes: maxHeader,
		}
	}
	return &Client{http: &http.Client{
		Transport: transport, Timeout: timeout,
		// A redirect is an answer like any other: our request is for nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Get fetches an address; see Do.
func (c *Client) Get(ctx context.Context, address string, limit int) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, errAddress
	}
	return c.Do(req, limit)
}

// PostForm posts a form; see Do.
func (c *Client) PostForm(ctx context.Context, address string, form url.Values, limit int) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, errAddress
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.Do(req, limit)
}

var errAddress = errors.New("the address is not one")

// Do sends a request and reads the whole answer, whatever its status. An error says that
// there was no answer, or one of more than limit bytes.
func (c *Client) Do(req *http.Request, limit int) (status int, body []byte, err error) {
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "barong")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("send request: %w", withoutAddress(err))
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", withoutAddress(err))
	}
	if len(body) > limit {
		return 0, nil, fmt.Errorf("answer is longer than %d bytes", limit)
	}
	return res.StatusCode, body, nil
}

// withoutAddress drops the method and address that net/http puts before every error.
func withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// CheckAddress reports the fault that keeps address from being called with a secret: it must be
// absolute, https (or http to a loopback host), without user, query and fragment. The error
// does not repeat it.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("is not an absolute address")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("must have no user, query or fragment")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("must be https")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
