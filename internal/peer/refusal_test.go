package peer_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

// Every refusal has a reason out of a few, which is counted, and a text without the payload.
func TestRefusalsAreCountedByReason(t *testing.T) {
	p := peertest.New(t)
	other := peertest.New(t)
	v := p.Verifier(t, peer.ReplayEnforce, clock, call)
	claims := func(change func(map[string]any)) map[string]any {
		c := peertest.Claims(map[string]any{"secret": "hunter2"}, now)
		change(c)
		return c
	}
	good := p.SignClaims(t, claims(func(map[string]any) {}), "alex")
	want := v.Refused()
	if len(want) == 0 {
		t.Fatal("no reasons")
	}
	for reason, n := range want {
		if n != 0 {
			t.Errorf("%s: %d before anything was refused", reason, n)
		}
	}
	for _, c := range []struct {
		name, reason, scope string
		body                []byte
	}{
		{"no JSON", "form", call, []byte("hunter2")},
		{"no message", "form", call, []byte(`{"hunter2":1}`)},
		{"a signature without a signer", "form", call, []byte(`{"payload":"hunter2","signatures":[{}]}`)},
		{"a payload that is no object", "form", call, p.SignClaims(t, "hunter2", "alex")},
		{"a scope that is not there", "scope", "write_users", good},
		{"another key", "signature", call, other.Sign(t, "hunter2", now, "alex")},
		{"one that is too old", "expired", call, p.SignClaims(t, claims(func(c map[string]any) { c["exp"] = now.Unix() }), "alex")},
		{"no exp", "claims", call, p.SignClaims(t, claims(func(c map[string]any) { delete(c, "exp") }), "alex")},
		{"no jti", "claims", call, p.SignClaims(t, claims(func(c map[string]any) { delete(c, "jti") }), "alex")},
		{"another call", "binding", call, p.SignClaims(t, claims(func(c map[string]any) { c["path"] = "/hunter2" }), "alex")},
		{"nobody who must", "few_signers", call, p.Sign(t, "hunter2", now, "jeff")},
		{"the first use", "", call, good},
		{"a second use", "replayed", call, good},
	} {
		r := request(c.body)
		r.Scope = c.scope
		_, err := v.Verify(t.Context(), r)
		if c.reason == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		want[c.reason]++
		why, ok := errors.AsType[interface {
			error
			Reason() string
		}](err)
		if !ok || why.Reason() != c.reason || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v of the reason %v, want %s and nothing of the message", c.name, err, why, c.reason)
		}
	}
	for reason, n := range want {
		if n == 0 {
			t.Errorf("%s: no case", reason)
		}
	}
	if got := v.Refused(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if err := (peer.Message{}).Allows(call); !errors.Is(err, peer.ErrUnverified) {
		t.Errorf("no message allows: %v", err)
	}
	m, err := v.Verify(t.Context(), request(p.Sign(t, 1, now, "alex")))
	if err != nil || m.Allows("write_roles") == nil {
		t.Fatalf("%v; want a message without the scope", err)
	}
	want["scope"]++
	if got := v.Refused(); !maps.Equal(got, want) {
		t.Errorf("after a second scope: counted %v, want %v", got, want)
	}
}

// A message for another service may have any signatures but wrong ones of known signers.
func TestFaultsOfAMessageForAnotherService(t *testing.T) {
	p, other := peertest.New(t), peertest.New(t)
	p.Add(t, "stranger", "EdDSA")
	v := peertest.New(t).Verifier(t, peer.ReplayEnforce, clock) // knows other keys
	mine := p.Verifier(t, peer.ReplayEnforce, clock)
	signed := p.Sign(t, 1, now, "alex", "james")
	for name, c := range map[string]struct {
		body []byte
		by   *peer.Verifier
		want string
	}{
		"right ones":           {signed, mine, ""},
		"none":                 {p.Sign(t, 1, now), mine, ""},
		"a right and a wrong":  {splice(t, signed, other.Sign(t, 1, now, "jeff")), mine, "the signature of jeff cannot be verified"},
		"of other keys":        {signed, v, "the signature of alex cannot be verified"},
		"nobody's of ours":     {p.Sign(t, 1, now, "stranger"), v, ""},
		"one that says no kid": {[]byte(`{"payload":"e30","signatures":[{"signature":"eA"}]}`), mine, ""},
		"a known one's without anything": {[]byte(`{"payload":"e30","signatures":[{"header":{"kid":"alex"}}]}`), mine,
			"the signature of alex cannot be verified"},
		"no message": {[]byte(`{"payload":"e30"}`), mine, "it is no JWS in general JSON serialization of at most 16 signatures"},
	} {
		if got := c.by.Fault(c.body); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
