//go:build !race

package identity_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/secret"
)

// Neither answer nor time shows whether anyone has an address (D3).
//
// A real server, real hashing, the shipped floor. Known and unknown addresses are asked about
// in turns, in random order within each turn, so that other work of the machine hits both
// alike; of each the median counts. A machine that is busy with other things may spoil a run,
// so that the best of three counts; a leak shows in all of them.
func TestTimeDoesNotTellWhoHasAnAccount(t *testing.T) {
	const runs, most = 3, .05
	for name, c := range map[string]struct {
		path         string
		limits       bool
		turns, lanes int // a turn is one sample of each kind; refusals by a limit are quick, and need many
		statuses     []int
	}{
		"a wrong password":   {"sessions", false, 100, 6, []int{401}},
		"a reset":            {"users/password/generate_code", false, 200, 20, []int{201}},
		"a confirmation":     {"users/email/generate_code", false, 200, 20, []int{201}},
		"a reset, limited":   {"users/password/generate_code", true, 2000, 20, []int{201, 429}},
		"a sign-in, limited": {"sessions", true, 1000, 6, []int{401, 429}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			street := newStreet(t, c.limits)
			var ratios []float64
			for range runs {
				ratio, told := street.measure(t, c.path, c.turns, c.lanes)
				for status := range told {
					if !slices.Contains(c.statuses, status) {
						t.Fatalf("answered %v, want %v only", told, c.statuses)
					}
				}
				ratios = append(ratios, ratio)
				if ratio > 1-most && ratio < 1+most {
					t.Logf("known / unknown: %.4f; answers %v", ratios, told)
					return
				}
			}
			t.Errorf("known / unknown addresses take %.3f of the time, want within 5 %% once in %d runs", ratios, runs)
		})
	}
}

// street is a server on which some addresses are known, half of them not confirmed.
type street struct {
	*world
	server *httptest.Server
	known  []string
}

func newStreet(t *testing.T, limits bool) *street {
	t.Helper()
	w := newWorld(t)
	w.Account.Mail, w.Account.Unlimited, w.Account.FailureFloor = w.Keys, !limits, 250*time.Millisecond
	w.Hasher, w.Clock = secret.NewHasher(2, 64), time.Now
	w.Restart()
	s := &street{world: w}
	for n := range 20 {
		u, err := w.Accounts.CreateUser(t.Context(), account.UserInput{
			Email: fmt.Sprintf("known%d@example.com", n), Password: password, Level: n % 2,
		})
		expect.OK(w.T, err)
		s.known = append(s.known, u.Email)
	}
	s.server = httptest.NewServer(w.Mount())
	t.Cleanup(s.server.Close)
	return s
}

// measure asks n times, in so many lanes, about each kind of address and returns the ratio of the medians, and
// how often which status was answered.
func (s *street) measure(t *testing.T, path string, n, lanes int) (ratio float64, told map[int]int) {
	t.Helper()
	var mu sync.Mutex
	took := map[bool][]time.Duration{}
	shown := map[bool]map[string]bool{true: {}, false: {}}
	told = map[int]int{}
	ask := func(known bool, i int) {
		address := fmt.Sprintf("nobody%d@example.com", i%len(s.known))
		if known {
			address = s.known[i%len(s.known)]
		}
		text := fmt.Sprintf(`{"email":%q,"password":"Tecohvi1"}`, address)
		began := time.Now()
		resp, err := s.server.Client().Post(s.server.URL+"/api/v2/identity/"+path, "application/json", strings.NewReader(text))
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		passed := time.Since(began)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		took[known] = append(took[known], passed)
		told[resp.StatusCode]++
		shown[known][fmt.Sprint(resp.StatusCode, strings.TrimSpace(string(answer)), headerNames(resp.Header))] = true
	}
	turns := make(chan int, n)
	for i := range n {
		turns <- i
	}
	close(turns)
	var all sync.WaitGroup
	for lane := range lanes {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(lane))) //nolint:gosec // the order of a measurement
			for i := range turns {
				first := random.IntN(2) == 0
				ask(first, i)
				ask(!first, i)
			}
		})
	}
	all.Wait()
	if d := cmp.Diff(shown[true], shown[false]); d != "" {
		t.Errorf("answers (known -, unknown +):\n%s", d)
	}
	return float64(middle(took[true])) / float64(middle(took[false])), told
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// headerNames are the names of the headers, sorted.
func headerNames(h http.Header) (names []string) {
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
