package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// Requests that left before the second factor was switched, and with it the session's id, are
// answered. A client with only the old id reads for seconds, writes nothing, and is out when the
// session's owner signs out (D8b).
func TestPollsGoOnWhileTheSecondFactorIsSwitched(t *testing.T) {
	p := serving(t, t.TempDir(), "BARONG_JWT_ALGORITHM=EdDSA")
	b := newBrowser(p).signIn(firstAdmin, p.password())
	const me = "/api/v2/barong/resource/users/me"
	// ask sends a request with that cookie, whatever the jar holds by now.
	ask := func(method, path, cookie string) (int, string) {
		r, err := http.NewRequest(method, "http://"+p.http+path, nil)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		r.Header.Set("Cookie", "_barong_session="+cookie)
		r.Header.Set("User-Agent", "curl/8")
		r.Header.Set("X-CSRF-Token", b.csrf)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		return resp.StatusCode, text(t, resp)
	}
	var qr struct{ Data struct{ URL string } }
	if err := json.Unmarshal([]byte(b.want(200, "otpauth", "POST", "/api/v2/barong/resource/otp/generate_qrcode", nil)), &qr); err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(qr.Data.URL)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(link.Query().Get("secret"), time.Now())
	if err != nil {
		t.Fatal(err)
	}

	old := b.cookie()
	var jar atomic.Value
	jar.Store(old)
	var wg sync.WaitGroup
	begun := make(chan struct{}, 4)
	for range 4 {
		wg.Go(func() {
			for n := range 15 {
				cookie := jar.Load().(string)
				time.Sleep(50 * time.Millisecond) // on its way
				if status, body := ask("GET", me, cookie); status != 200 {
					t.Errorf("poll %d: %d %s", n, status, body)
				}
				if n == 2 {
					begun <- struct{}{}
				}
			}
		})
	}
	<-begun
	b.want(200, "200", "POST", "/api/v2/barong/resource/otp/enable", url.Values{"code": {code}})
	time.Sleep(50 * time.Millisecond) // the answer's way back
	jar.Store(b.cookie())
	wg.Wait()

	fresh := b.cookie()
	if fresh == old {
		t.Fatal("the session has the id of before")
	}
	if status, body := ask("HEAD", me, old); status != 200 {
		t.Errorf("a HEAD by the old id: %d %s", status, body)
	}
	for _, write := range [][2]string{
		{"POST", "/api/v2/barong/resource/otp/generate_qrcode"}, {"DELETE", "/api/v2/barong/resource/sessions"},
		{"PATCH", "/api/v2/barong/resource/api_keys/x"}, {"PUT", "/api/v2/barong/resource/users/password"},
		{"OPTIONS", me},
	} {
		if status, body := ask(write[0], write[1], old); status != 401 || !strings.Contains(body, "authz.invalid_session") {
			t.Errorf("%s %s by the old id: %d %s, want 401", write[0], write[1], status, body)
		}
	}
	// Until its owner signs out.
	b.want(204, "", "DELETE", "/api/v2/barong/identity/sessions", nil)
	for name, cookie := range map[string]string{"old": old, "new": fresh} {
		if status, body := ask("GET", me, cookie); status != 401 {
			t.Errorf("after signing out, by the %s id: %d %s, want 401", name, status, body)
		}
	}
}
