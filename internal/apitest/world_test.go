package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
)

// recorder is a test whose failures are kept.
type recorder struct {
	testing.TB
	errors   int
	cleanups []func()
}

func (r *recorder) Errorf(string, ...any) { r.errors++ }
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) end() int {
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		f()
	}
	return r.errors
}

// Each secret that a client sends or is sent fails the test once it is in the log.
func TestSecretsInTheLogFail(t *testing.T) {
	for name, leak := range map[string]func(w *apitest.World) string{
		"none":              func(*apitest.World) string { return "" },
		"one of the test's": func(w *apitest.World) string { w.Secret("a secret of the test"); return "a secret of the test" },
		"a password":        func(*apitest.World) string { return apitest.Password },
		"a wrong password":  func(*apitest.World) string { return "Wrong0pass" },
		"a session":         func(w *apitest.World) string { cookie, _ := w.OpenSession("ID1"); return cookie },
		"a session of the client's": func(w *apitest.World) string {
			w.Client().With("Cookie", "_barong_session=00000000000000000000000000000009").Get(t, "/api/v2/identity/ping")
			return "00000000000000000000000000000009"
		},
		"a bearer token": func(w *apitest.World) string { return strings.TrimPrefix(w.Bearer("ID1"), "Bearer ") },
		"an answer's cookie and CSRF token": func(w *apitest.World) string {
			a := w.Client().JSON(t, "POST", "/api/v2/identity/sessions", map[string]any{"email": "a@barong.io", "password": apitest.Password})
			c, err := http.ParseSetCookie(a.Header.Get("Set-Cookie"))
			expect.OK(t, err)
			var u struct {
				CSRF string `json:"csrf_token"`
			}
			a.Into(t, &u)
			return c.Value + " " + u.CSRF
		},
		"the secret of a QR code": func(w *apitest.World) string {
			a := w.As("ID1").JSON(t, "POST", "/api/v2/resource/otp/generate_qrcode", nil)
			_, secret, _ := strings.Cut(a.Body, "secret=")
			return strings.Trim(secret[:32], `"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			w := apitest.New(r)
			w.Account.Unlimited = true
			w.Restart()
			w.AddUser(account.User{
				UID: "ID1", Email: "a@barong.io", PasswordDigest: "#" + apitest.Password, Role: "member", State: account.StateActive,
			})
			w.Client().JSON(t, "POST", "/api/v2/identity/sessions", map[string]any{"email": "a@barong.io", "password": "Wrong0pass"})
			text := leak(w)
			if _, err := w.Log.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			want := len(strings.Fields(text))
			if strings.Contains(name, "test's") {
				want = 1
			}
			if name == "a password" {
				w.Secret(apitest.Password)
			}
			if got := r.end(); got != want {
				t.Errorf("%d failures, want %d", got, want)
			}
		})
	}
}

// The world stands on PostgreSQL, too, where machines have it.
func TestOnPostgres(t *testing.T) {
	w := apitest.NewPostgres(t)
	w.Shipped()
	a := w.As("SUPERADMIN").Get(t, "/api/v2/admin/permissions?limit=1")
	expect.Equal(t, a.Status, 200)
	w.Faults.Fail(apitest.ErrOutage, "User")
	w.As("SUPERADMIN").Get(t, "/api/v2/admin/permissions").WantTokens(t, 503, "server.internal_error")
}
