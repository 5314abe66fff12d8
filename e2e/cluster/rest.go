package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
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

// A RESTLoad is people at the REST API through the gate, all the time: one signs in, the others
// read their own account or, of the staff, the permissions, or send forms that lack a field.
type RESTLoad struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	answered map[string]int
	failed   []Failure
}

// A Failure is a request of a RESTLoad that was not answered as it must be.
type Failure struct {
	What, Method string
	Began, Ended time.Time
	Status       int // 0 for no answer
	Type, Body   string
	Err          error // of the connection
}

func (f Failure) String() string {
	return fmt.Sprintf("%s at %s: %d %.200s %v after %s", f.What, f.Began.Format("05.000"), f.Status, f.Body, f.Err,
		f.Ended.Sub(f.Began).Round(time.Millisecond))
}

// A form is a request of the people of a RESTLoad, and the answer that it must get.
type form struct {
	what, method, path string
	body, holds        string
	status             int
	headers            func(http.Header)
}

// RunREST goes on until Stop, with so many people through the gate at url. Each has an address
// of its own on the loopback network, as the gate bounds the requests of one address, and asks
// again soon after each answer. The sign-ins are of one person, with a new session each.
func (c *Cluster) RunREST(ctx context.Context, t testing.TB, url string, people int) *RESTLoad {
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
	visitor := func(h http.Header) {
		h.Set("Content-Type", "application/json")
		h.Set("User-Agent", userAgent)
		h.Set("X-Forwarded-For", member.ip.String())
	}
	const signIn = "/api/v2/barong/identity/sessions"
	forms := []form{
		{"sign-in", http.MethodPost, signIn, `{"email":"` + who.Email + `","password":"` + password + `"}`, who.UID, http.StatusCreated, visitor},
		{"own account", http.MethodGet, "/api/v2/barong/resource/users/me", "", member.UID, http.StatusOK, member.headers},
		{"admin read", http.MethodGet, "/api/v2/barong/admin/permissions?limit=1", "", `"role"`, http.StatusOK, staff.headers},
		{"form that lacks a field", http.MethodPost, signIn, `{}`, "identity.session.", http.StatusBadRequest, visitor},
	}

	ctx, cancel := context.WithCancel(ctx)
	l := &RESTLoad{stop: cancel, answered: map[string]int{}}
	for i := range people {
		transport := &http.Transport{
			DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i))}}).DialContext,
		}
		client := &http.Client{Timeout: 10 * time.Second, Transport: transport}
		x, every := forms[min(i, 1)], 200*time.Millisecond // a sign-in is a password hash
		l.done.Go(func() {
			defer transport.CloseIdleConnections()
			for n := i; ctx.Err() == nil; n++ {
				if i > 0 {
					x, every = forms[1+n%3], 15*time.Millisecond
				}
				// A request under way is answered to the end.
				l.count(x.ask(context.WithoutCancel(ctx), client, url))
				select {
				case <-time.After(every):
				case <-ctx.Done():
				}
			}
		})
	}
	return l
}

func (l *RESTLoad) count(f Failure, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed {
		l.failed = append(l.failed, f)
	} else {
		l.answered[f.What]++
	}
}

// Stop ends it, waits for the last answer, and returns the failures.
func (l *RESTLoad) Stop() (failed []Failure) {
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

// ask sends the form to url; failed is false when the answer is as it must be.
func (x form) ask(ctx context.Context, client *http.Client, url string) (f Failure, failed bool) {
	f = Failure{What: x.what, Method: x.method, Began: time.Now()}
	defer func() { f.Ended = time.Now() }()
	req, err := http.NewRequestWithContext(ctx, x.method, url+x.path, strings.NewReader(x.body))
	if err != nil {
		f.Err = err
		return f, true
	}
	x.headers(req.Header)
	resp, err := client.Do(req)
	if err != nil {
		f.Err = err
		return f, true
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	f.Status, f.Type, f.Body, f.Err = resp.StatusCode, resp.Header.Get("Content-Type"), string(text), err
	return f, err != nil || f.Status != x.status || !strings.Contains(f.Body, x.holds)
}
