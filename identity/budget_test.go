package identity_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/captcha"
	"barong/internal/rest/resttest"
	"barong/internal/secret"
)

func TestEveryEndpointIsCounted(t *testing.T) { apitest.TestBudgets(t, "identity", "public") }

// costly is a provider that counts its calls and believes nothing.
type costly struct{ n int }

func (c *costly) Verify(context.Context, captcha.Response) error {
	c.n++
	return captcha.ErrFailed
}

func (c *costly) Register(context.Context) (captcha.Challenge, error) {
	c.n++
	return captcha.Challenge{}, nil
}

// Made-up captcha responses cost the provider no more than one network may ask for, whether
// they come with sign-ups, sign-ins or requests for mails; nor do challenges.
func TestStrangersCallProvidersWithinBounds(t *testing.T) {
	const flood = 300
	for name, c := range map[string]struct {
		method, path string
		body         body
		most         int
	}{
		"sign-ups":                  {"POST", "/api/v2/identity/users", body{"email": email, "password": password}, 60},
		"sign-ins":                  {"POST", sessions, credentials(), 120},
		"requests of resets":        {"POST", "/api/v2/identity/users/password/generate_code", body{"email": email}, 60},
		"requests of confirmations": {"POST", "/api/v2/identity/users/email/generate_code", body{"email": email}, 60},
		"challenges of GeeTest":     {"GET", "/api/v2/identity/users/register_geetest", body{}, 120},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			calls := &costly{}
			w.Identity.Captcha.Verifier, w.Identity.Geetest = calls, calls
			w.Identity.Captcha.Protected = []string{
				captcha.SignUp, captcha.SignIn, captcha.Reset, captcha.Confirmation,
			}
			b := w.Browser()
			var last resttest.Answer
			for n := range flood {
				c.body["captcha_response"] = fmt.Sprint("made up ", n)
				last = b.JSON(t, c.method, c.path, c.body)
			}
			if last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
				t.Errorf("the last of %d: %d %s, want 429", flood, last.Status, last.Body)
			}
			if calls.n != c.most {
				t.Errorf("the provider was asked %d times, want %d", calls.n, c.most)
			}
			w.IP = netip.MustParseAddr("10.9.9.9") // which has done nothing
			if a := b.JSON(t, c.method, c.path, c.body); a.Status == http.StatusTooManyRequests {
				t.Errorf("another network: %d %s", a.Status, a.Body)
			}
		})
	}
}

// One address keeps forty-eight sign-ins under way, whose limits are off; twenty-five people
// elsewhere, among them neighbours of it, sign in at the same time, and all get in.
func TestAFloodOfSignInsKeepsNobodyOut(t *testing.T) {
	w := newWorld(t)
	w.Account.Unlimited = true
	w.Hasher, w.Clock = secret.NewHasher(1, 32), time.Now
	w.Restart()
	w.ClientIP = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-Test-Client")) }
	people := make([]string, 26)
	for n := range people {
		people[n] = fmt.Sprintf("trader%d@example.com", n)
		w.user(people[n], 1)
	}
	server := w.Mount()
	signIn := func(ctx context.Context, ip, email string) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, sessions,
			strings.NewReader(fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Test-Client", ip)
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		return answer.Code
	}
	ctx, stop := context.WithCancel(t.Context())
	var flood, others sync.WaitGroup
	var refused atomic.Int32
	for n := range 48 {
		flood.Go(func() {
			for ctx.Err() == nil {
				email := people[25] // its own account, or made-up ones
				if n%2 == 0 {
					email = fmt.Sprintf("made-up%d@example.com", n)
				}
				if signIn(ctx, "192.0.2.1", email) == http.StatusTooManyRequests {
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	for refused.Load() == 0 { // until the queue is full
		time.Sleep(time.Millisecond)
	}
	for n, email := range people[:25] {
		others.Go(func() {
			ip := fmt.Sprintf("198.51.%d.1", n)
			if n%5 == 0 {
				ip = fmt.Sprintf("192.0.2.%d", 2+n)
			}
			if got := signIn(t.Context(), ip, email); got != http.StatusCreated {
				t.Errorf("%s from %s: %d, want 201", email, ip, got)
			}
		})
	}
	others.Wait()
	stop()
	flood.Wait()
}

// Correct sign-ins are bounded too, by network, before the password is hashed: a household or an
// office gets in, a loop does not go on.
func TestCorrectSignInsAreBoundedByNetwork(t *testing.T) {
	w := newWorld(t)
	b := w.Browser()
	var people []account.User
	for n := range 40 {
		people = append(people, w.user(fmt.Sprintf("trader%d@example.com", n), 1))
	}
	in := 0
	for n := range 264 {
		u := people[n%len(people)]
		switch a := b.JSON(t, "POST", sessions, body{"email": u.Email, "password": password}); a.Status {
		case http.StatusCreated:
			in++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("sign-in %d: %d %s", n, a.Status, a.Body)
		}
	}
	if in != 200 {
		t.Errorf("%d sign-ins from one address passed, want 200", in)
	}
	w.IP = netip.MustParseAddr("10.9.9.9")
	if a := b.JSON(t, "POST", sessions, body{"email": people[0].Email, "password": password}); a.Status != http.StatusCreated {
		t.Errorf("another network: %d %s, want 201", a.Status, a.Body)
	}
}
