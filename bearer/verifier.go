package bearer

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
)

// maxToken bounds the work on a header that anyone can send.
const maxToken = 8 << 10

// A Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	issuer, audience, party string
	leeway                  time.Duration
	algorithms              []string
	now                     func() time.Time

	keys  atomic.Pointer[keySet]
	fetch *fetcher // nil for keys that never change
}

// New checks the configuration and makes a Verifier. It does no I/O: the first token fetches the key
// set. Call Refresh to do so at start.
func New(c Config) (*Verifier, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	v := &Verifier{
		issuer: c.Issuer, audience: c.Audience, party: c.Party, leeway: c.Leeway, algorithms: c.Algorithms, now: c.Now,
	}
	if c.URL != "" {
		v.fetch = newFetcher(c)
		return v, nil
	}
	keys, err := parseKeys(c.Keys, c.Algorithms)
	if err != nil {
		return nil, err
	}
	v.keys.Store(&keySet{keys: keys})
	return v, nil
}

// VerifyHeader verifies the value of a header Authorization: "Bearer <token>", with one space and this
// spelling.
func (v *Verifier) VerifyHeader(ctx context.Context, authorization string) (Claims, error) {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok || token == "" {
		return Claims{}, ErrNoToken
	}
	return v.Verify(ctx, token)
}

// Verify returns the claims of a token, or an error that wraps ErrRefused or is ErrUnavailable. It
// fetches the key set when there is none, and for an unknown kid at most once in Config.Retry; ctx ends
// the wait for that. Otherwise it does no I/O and takes no lock.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	last := strings.LastIndexByte(token, '.')
	if len(token) > maxToken || last < 0 {
		return Claims{}, ErrMalformed
	}
	header, payload, ok := strings.Cut(token[:last], ".")
	if !ok || strings.IndexByte(payload, '.') >= 0 {
		return Claims{}, ErrMalformed
	}
	k, err := v.key(ctx, header)
	if err != nil {
		return Claims{}, err
	}
	var space [1024]byte // an RSA signature has at most so many bytes
	signature, ok := decode(space[:0], token[last+1:])
	if !ok {
		return Claims{}, ErrMalformed
	}
	if !k.verify(token[:last], signature) {
		return Claims{}, ErrSignature
	}
	if known := k.header.Load(); known == nil || *known != header {
		kept := strings.Clone(header)
		k.header.Store(&kept)
	}
	raw, ok := decode(space[:0], payload)
	if !ok {
		return Claims{}, ErrMalformed
	}
	var o object
	if !o.read(raw, string(raw)) {
		return Claims{}, ErrMalformed
	}
	c, err := v.check(&o, v.now())
	c.KeyID = k.kid
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

// key is the one that an encoded header names, if the header may be taken.
func (v *Verifier) key(ctx context.Context, header string) (*key, error) {
	set, err := v.current(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range set.keys {
		if known := k.header.Load(); known != nil && *known == header {
			return k, nil
		}
	}
	kid, algorithm, err := readHeader(header, v.algorithms)
	if err != nil {
		return nil, err
	}
	k := set.key(kid)
	if k == nil && v.fetch != nil {
		if set, err = v.fetch.forUnknown(ctx, v, set); err != nil {
			return nil, err
		}
		k = set.key(kid)
	}
	switch {
	case k == nil:
		return nil, ErrUnknownKey
	case k.algorithm != algorithm:
		return nil, ErrAlgorithm
	}
	return k, nil
}

// readHeader reads an encoded header of a token. The algorithm it names must be one of these.
func readHeader(header string, algorithms []string) (kid, algorithm string, err error) {
	raw, ok := decode(nil, header)
	var o object
	if !ok || !o.read(raw, string(raw)) {
		return "", "", ErrMalformed
	}
	algorithm = o.text("alg")
	allowed := false
	for _, a := range algorithms {
		allowed = allowed || a == algorithm
	}
	if !allowed {
		return "", "", ErrAlgorithm
	}
	// Members that bring a key or say where one is, and extensions that must be understood.
	for _, name := range [...]string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit"} {
		if o.get(name) != "" {
			return "", "", ErrHeader
		}
	}
	if kid = o.text("kid"); kid == "" || len(kid) > maxKid {
		return "", "", ErrUnknownKey
	}
	return kid, algorithm, nil
}
