package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/secret"
)

const password = "Correct-Horse-9-Battery"

// A RESTLoad is people at the REST API through the gate, all the time: they sign in, read
// their own account, and one of the staff reads the permissions.
type RESTLoad struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	answered map[string]int
	failed   []string
}

// RunREST goes on until Stop. The sign-ins are of one person, with a new session each.
func (c *Cluster) RunREST(ctx context.Context, t testing.TB) *RESTLoad {
	t.Helper()
	digest, err := secret.NewHasher(1, 1).Hash(ctx, password)
	must(t, err)
	c.people++
	who := account.User{
		UID: secret.UID("ID"), Email: fmt.Sprintf("rest%d@cluster.example", c.people), PasswordDigest: digest,
		Role: account.RoleMember, Level: 3, State: account.StateActive,
	}
	must(t, c.DB.AddUser(ctx, &who))
	member, staff := c.Session(t), c.signedIn(t, "staff", account.RoleSuperadmin, "")

	ctx, cancel := context.WithCancel(ctx)
	l := &RESTLoad{stop: cancel, answered: map[string]int{}}
	for _, x := range []struct {
		what, method, path string
		body, holds        string
		status             int
		every              time.Duration
		headers            func(http.Header)
	}{
		{"sign-in", http.MethodPost, "/api/v2/barong/identity/sessions",
			`{"email":"` + who.Email + `","password":"` + password + `"}`, who.UID, http.StatusCreated, 200 * time.Millisecond,
			func(h http.Header) {
				h.Set("Content-Type", "application/json")
				h.Set("User-Agent", userAgent)
				h.Set("X-Forwarded-For", member.ip.String())
			}},
		{"own account", http.MethodGet, "/api/v2/barong/resource/users/me", "", member.UID, http.StatusOK, 15 * time.Millisecond, member.headers},
		{"admin read", http.MethodGet, "/api/v2/barong/admin/permissions?limit=1", "", `"role"`, http.StatusOK, 15 * time.Millisecond, staff.headers},
	} {
		l.done.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				// What is under way is answered to the end.
				err := want(context.WithoutCancel(ctx), x.method, c.Gate+x.path, x.body, x.headers, x.status, x.holds)
				l.count(x.what, began, err)
				select {
				case <-time.After(x.every):
				case <-ctx.Done():
				}
			}
		})
	}
	return l
}

func (l *RESTLoad) count(what string, began time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.answered[what]++
		return
	}
	l.failed = append(l.failed, fmt.Sprintf("%s at %s: %v after %s", what, began.Format("05.000"), err, time.Since(began).Round(time.Millisecond)))
}

// Stop ends it, waits for the last answer, and tells what failed.
func (l *RESTLoad) Stop() (failed []string) {
	l.stop()
	l.done.Wait()
	return l.failed
}

// Counts are the requests that were answered as they must be, as text.
func (l *RESTLoad) Counts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(l.answered)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, l.answered[what]))
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(", failed %d", len(l.failed))
}

// want makes a request and fails unless the answer has the status and holds the text.
func want(ctx context.Context, method, url, body string, headers func(http.Header), status int, holds string) error {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	headers(req.Header)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != status || !strings.Contains(string(text), holds) {
		return fmt.Errorf("got %d %.200s, want %d with %s", resp.StatusCode, text, status, holds)
	}
	return nil
}
