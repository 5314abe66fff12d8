package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"barong/authz"
	"barong/authz/authztest"
	"barong/e2e"
	"barong/internal/config"
	"barong/internal/configured"
)

// leastAsked is how many steps of the corpus must have reached Barong through each gateway. The
// gateway refuses the rest by itself, or cannot be made to ask about it.
var leastAsked = map[string]int{"envoy": 340, "envoy-http": 340, "nginx": 340, "caddy": 345}

// TestCorpus replays the decision corpus through every real gateway with its shipped file: the
// authorizer is the one that barong serve runs, over each case's own accounts and clock.
//
// Client, upstream, gateway and Barong are all on loopback, and the gateway stands behind a
// load balancer, the test, which says where a request came from. A denial that a gateway
// makes by itself, without asking, is as good as Barong's.
func TestCorpus(t *testing.T) {
	files := corpus(t)
	keys, err := authztest.NewKeys()
	must(t, err)
	for _, kind := range gateways {
		t.Run(kind, func(t *testing.T) {
			r, n := openReplay(t, kind), newTally()
			for _, f := range files {
				t.Run(f.Name, func(t *testing.T) {
					for _, c := range f.Cases {
						w, err := authztest.NewWorld(f, keys)
						must(t, err)
						s, err := authz.New(authz.Parts{
							Rules: w.Rules(), Feed: w.Feed(), Sessions: w.Sessions, Accounts: w.Accounts, Keys: w.Keys,
							Tokens: w.Tokens(), Nonces: w, Activities: w, Now: w.Now,
						}, settings(t, f.Applied))
						must(t, err)
						r.door.opens(t, s)
						r.replay(t, f, memoryWorld{w}, c, n)
					}
				})
			}
			n.check(t, "corpus through "+kind, files, leastAsked[kind])
		})
	}
}

// corpus is the decision corpus.
func corpus(t *testing.T) []*authztest.File {
	t.Helper()
	files, err := authztest.Load(filepath.Join(root(t), "authz", "testdata", "check"))
	must(t, err)
	return files
}

// A world is one running copy of a file's accounts and policy, in memory or in stores.
type world interface {
	authztest.State
	// cannot says why a step cannot be taken in it, "" when it can.
	cannot(s authztest.Step) string
	// begin lets time pass and makes the changes before the request of a step.
	begin(t *testing.T, s authztest.Step) error
}

// memoryWorld is an authztest.World, which can take every step.
type memoryWorld struct{ *authztest.World }

func (memoryWorld) cannot(authztest.Step) string { return "" }

func (w memoryWorld) begin(_ *testing.T, s authztest.Step) error { return w.Begin(s) }

// A tally counts the outcomes of the steps of a corpus.
type tally struct {
	asked int            // about which Barong was asked
	alone int            // that the gateway denied by itself
	left  map[string]int // why → steps
	began time.Time
}

func newTally() *tally { return &tally{left: map[string]int{}, began: time.Now()} }

func (n *tally) String() string {
	text := fmt.Sprintf("%d steps asked", n.asked)
	if n.alone > 0 {
		text += fmt.Sprintf(", %d denied by the gateway itself", n.alone)
	}
	for _, why := range slices.Sorted(maps.Keys(n.left)) {
		text += fmt.Sprintf(", %d left out (%s)", n.left[why], why)
	}
	return text
}

// check reports n under a name, and fails when a step of the corpus is not in it or when
// fewer than least have reached Barong.
func (n *tally) check(t *testing.T, name string, files []*authztest.File, least int) {
	t.Helper()
	report(fmt.Sprintf("%s: %s, in %.1f s", name, n, time.Since(n.began).Seconds()))
	all, counted := 0, n.asked+n.alone
	for _, f := range files {
		for _, c := range f.Cases {
			all += len(c.All())
		}
	}
	for _, steps := range n.left {
		counted += steps
	}
	if counted != all || n.asked < least {
		t.Errorf("%d of %d steps accounted for, want all, at least %d of them asked: %s", counted, all, least, n)
	}
}

// A replay puts worlds behind one gateway and the corpus to it.
type replay struct {
	gateway e2e.Proxy
	kind    string
	door    door
}

// A door is the listener that a gateway asks, with one authorizer after the other behind it.
type door interface {
	opens(t *testing.T, s *authz.Server)
	questions() int // asked since it was opened
}

// openReplay starts one kind of gateway before a door and an echo.
func openReplay(t *testing.T, kind string) *replay {
	t.Helper()
	r := &replay{kind: kind}
	echo := upstream(t)
	at := e2e.Addresses{HTTP: echo}
	if kind == "envoy" {
		a := startAuthorizer(t)
		r.door, at.GRPC = a, a.addr
	} else {
		f := startForwardAuthorizer(t)
		r.door, at.Forward = f, f.addr()
	}
	places, err := e2e.FreePlaces(at, echo)
	must(t, err)
	places.Edit = func(kind string, file []byte) []byte { return everywhere(t, kind, file, echo) }
	r.gateway = startProxy(t, kind, places)
	return r
}

// replay takes the steps of c in order, in w, whose authorizer is behind the door.
func (r *replay) replay(t *testing.T, f *authztest.File, w world, c authztest.Case, n *tally) {
	t.Helper()
	steps := c.All()
	for i, step := range steps {
		if why := cmp.Or(leftOut(step.Request), w.cannot(step)); why != "" {
			n.left[why] += len(steps) - i // the later ones build on this one
			return
		}
		must(t, w.begin(t, step))
		q, err := f.Question(step.Request, w.Now())
		must(t, err)
		q = throughBalancer(q)
		before := r.door.questions()
		got := send(t, r.gateway, q)
		wasAsked := r.door.questions() > before
		x := behind(t, r.kind, step)
		problems := differences(w, x, q, got, wasAsked)
		if done := w.Activities(); !wasAsked {
			n.alone++
		} else {
			n.asked++
			if x.Status != anyDenial {
				problems = append(problems, x.ActivityProblems(done)...)
			}
		}
		for _, problem := range problems {
			t.Errorf("%s: step %d (%s %s): %s", c.Name, i+1, q.Method, q.Target, problem)
		}
	}
}

// opens puts s behind a.
func (a *authorizer) opens(t *testing.T, s *authz.Server) {
	t.Helper()
	g := authz.NewGRPC(s, authz.GRPCConfig{Workers: 1})
	pipe := bufconn.Listen(1 << 16)
	go g.Serve(pipe)
	conn, err := grpc.NewClient("passthrough:authz", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing is under way that would be worth waiting for
		g.Shutdown(ctx, 0)
	})
	a.answers(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = authv3.NewAuthorizationClient(conn)
}

// opens puts s behind f.
func (f *forwardAuthorizer) opens(_ *testing.T, s *authz.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = s.Forward()
}

// settings are those of a file, trusting Envoy's own address.
func settings(t *testing.T, s config.Settings) authz.Config {
	t.Helper()
	c := configured.Decisions(s)
	own, err := e2e.OwnAddresses()
	if err != nil {
		t.Fatal(err)
	}
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	for _, a := range own {
		c.TrustedProxies = append(c.TrustedProxies, netip.PrefixFrom(a.WithZone(""), a.BitLen()))
	}
	return c
}
