package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"barong/internal/provider/outbound"
	"barong/internal/token"
)

const (
	maxAge     = 10 * time.Minute // of the keys
	againAfter = 10 * time.Second // for a kid that is not among them
	maxAnswer  = 256 << 10
)

// ErrOutage says that the keys of the tenant cannot be had, so that nobody can be verified.
var ErrOutage = errors.New("auth0: the keys cannot be had")

// Config names our tenant at Auth0. Its zero value means that nobody signs in with it.
type Config struct {
	// Domain is the tenant's host name, ClientID our application there.
	Domain, ClientID string
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if (c.Domain == "") != (c.ClientID == "") {
		problems = append(problems, errors.New("domain and client id of auth0 go together"))
	}
	u, err := url.Parse("https://" + c.Domain + "/")
	if c.Domain != "" && (err != nil || u.Host != c.Domain || u.Path != "/" || strings.ContainsAny(c.Domain, " @")) {
		problems = append(problems, errors.New("domain of auth0 is not a host name alone"))
	}
	return errors.Join(problems...)
}

// A Verifier verifies ID tokens of one tenant for one application. It is safe for concurrent
// use.
type Verifier struct {
	config Config
	client *outbound.Client
	now    func() time.Time

	mu      sync.Mutex
	set     *token.KeySet // nil before the first fetch
	fetched time.Time     // when the fetch of set began
	tried   time.Time     // when the latest fetch began
	flight  *flight       // the fetch that is under way, if any
}

// flight is one fetch; its fields are written before done is closed.
type flight struct {
	done chan struct{}
	set  *token.KeySet
	err  error
}

// New makes a verifier without calling out. transport may be nil, and so may now for time.Now.
func New(c Config, transport http.RoundTripper, now func() time.Time) (*Verifier, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("auth0: configuration: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	return &Verifier{config: c, client: outbound.New(0, transport), now: now}, nil
}

// Verify returns the claims of an ID token that the tenant issued to our application. An error
// is token.ErrIDToken when the token is refused, also when Auth0 is not configured, which
// needs no call; every other error is ErrOutage, or the end of ctx.
func (v *Verifier) Verify(ctx context.Context, idToken string) (token.IDClaims, error) {
	if v.config.Domain == "" {
		return token.IDClaims{}, fmt.Errorf("%w: auth0 is not configured", token.ErrIDToken)
	}
	issuer := "https://" + v.config.Domain + "/"
	set, err := v.keys(ctx)
	if err != nil {
		return token.IDClaims{}, err
	}
	claims, err := set.VerifyIDToken(idToken, issuer, v.config.ClientID, v.now())
	if !errors.Is(err, token.ErrUnknownKid) {
		return claims, err
	}
	newer, fetchErr := v.newerThan(ctx, set)
	if fetchErr != nil {
		return token.IDClaims{}, fetchErr
	}
	if newer == nil {
		return token.IDClaims{}, err
	}
	return newer.VerifyIDToken(idToken, issuer, v.config.ClientID, v.now())
}

// keys returns keys that are young enough. Older ones are not used even when no others can be
// had: the tenant may have withdrawn them.
func (v *Verifier) keys(ctx context.Context) (*token.KeySet, error) {
	v.mu.Lock()
	if v.set != nil && v.now().Sub(v.fetched) < maxAge {
		defer v.mu.Unlock()
		return v.set, nil
	}
	f := v.join(ctx)
	v.mu.Unlock()
	return f.wait(ctx)
}

// newerThan returns keys fetched after old; nil when it is too early to fetch again.
func (v *Verifier) newerThan(ctx context.Context, old *token.KeySet) (*token.KeySet, error) {
	v.mu.Lock()
	if v.set != old {
		defer v.mu.Unlock()
		return v.set, nil
	}
	if v.flight == nil && v.now().Sub(v.tried) < againAfter {
		v.mu.Unlock()
		return nil, nil
	}
	f := v.join(ctx)
	v.mu.Unlock()
	return f.wait(ctx)
}

// join returns the fetch that is under way, or begins one; v.mu is held. It ends with its own
// time, not with the caller's: others may be waiting.
func (v *Verifier) join(ctx context.Context) *flight {
	if v.flight != nil {
		return v.flight
	}
	f := &flight{done: make(chan struct{})}
	v.flight, v.tried = f, v.now()
	began := v.tried
	go func() {
		f.set, f.err = v.fetch(context.WithoutCancel(ctx))
		v.mu.Lock()
		v.flight = nil
		if f.err == nil {
			v.set, v.fetched = f.set, began
		}
		v.mu.Unlock()
		close(f.done)
	}()
	return f
}

func (f *flight) wait(ctx context.Context) (*token.KeySet, error) {
	select {
	case <-f.done:
		return f.set, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the keys of auth0: %w", ctx.Err())
	}
}

func (v *Verifier) fetch(ctx context.Context) (*token.KeySet, error) {
	status, body, err := v.client.Get(ctx, "https://"+v.config.Domain+"/.well-known/jwks.json", maxAnswer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutage, err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrOutage, status)
	}
	set, err := token.ParseKeySet(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutage, err)
	}
	return set, nil
}
