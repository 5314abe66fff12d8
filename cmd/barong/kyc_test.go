package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"barong/internal/person"
)

// A fakeKYCAID is the provider of a test: it hangs on, until it is up, and then takes everybody.
type fakeKYCAID struct {
	*httptest.Server
	mu   sync.Mutex
	up   bool
	keys []string // of the calls, in their order
	said string   // the last body
}

func newKYCAID(t *testing.T) *fakeKYCAID {
	t.Helper()
	f := &fakeKYCAID{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.keys = append(f.keys, r.Header.Get("Idempotency-Key"))
		f.said = string(body)
		up := f.up
		f.mu.Unlock()
		if !up {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"applicant_id":"270128a807f3c24bfd1b8da4a4af7d2080c4"}`)
	}))
	t.Cleanup(f.Close)
	return f
}

// calls are the keys so far.
func (f *fakeKYCAID) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.keys...)
}

// The work on a submitted profile survives the process that has begun it: the next one asks the
// provider again, by the same key, and its answer is the profile's state.
func TestAnApplicantSurvivesAKill(t *testing.T) {
	provider := newKYCAID(t)
	dir := t.TempDir()
	email := withMembers(t, dir, 1)[0]
	env := []string{
		"BARONG_KYC_PROVIDER=kycaid", "BARONG_KYCAID_AUTHORIZATION_TOKEN=hunter2", "BARONG_KYCAID_API_ENDPOINT=" + provider.URL,
	}
	p := serving(t, dir, env...)
	newBrowser(p).signIn(email, memberPassword).want(http.StatusCreated, `"submitted"`, "POST", "/api/v2/resource/profiles", url.Values{
		"first_name": {"Zoë"}, "last_name": {"O'Hara"}, "dob": {"24/12/1990"}, "country": {"GB"}, "confirm": {"true"},
	})
	p.eventually("a call of the provider", func() bool { return len(provider.calls()) == 1 })
	p.kill()

	provider.mu.Lock()
	provider.up = true
	provider.mu.Unlock()
	second := serving(t, dir, env...)
	second.eventually("another call", func() bool { return len(provider.calls()) > 1 })
	second.stop()
	keys := provider.calls()
	if len(keys) != 2 || keys[0] == "" || keys[0] != keys[1] {
		t.Errorf("the calls have the keys %q, want two alike", keys)
	}
	db := openStore(t, filepath.Join(dir, "data"))
	u, err := db.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	all, err := db.Profiles(t.Context(), u.UID)
	if err != nil || len(all) != 1 || all[0].State != person.ProfileVerified || all[0].ApplicantID == nil {
		t.Errorf("profiles %v (%v), want one, verified, with its applicant", all, err)
	}
	b, err := db.EventBacklog(t.Context(), toKYC)
	if err != nil || b.Waiting+b.Parked > 0 {
		t.Errorf("left are %+v (%v)", b, err)
	}
	if !strings.Contains(provider.said, "Zoë") {
		t.Errorf("the provider was sent %s", provider.said)
	}
	for _, log := range []string{p.err.String(), second.err.String()} {
		for _, text := range []string{"Zoë", "Hara", "hunter2", "270128a8"} {
			if strings.Contains(log, text) {
				t.Errorf("the log says %q", text)
			}
		}
	}
}
