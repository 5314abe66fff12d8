package authz

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"testing"

	"barong/authz/authztest"
	"barong/internal/account"
	"barong/internal/session"
)

// Explain gives the decision that Check then makes, for every caller and request, in every
// world of the corpus and at every step of its cases; its last step is the one that decided; and it
// changes nothing.
func TestExplainIsCheck(t *testing.T) {
	files, err := authztest.Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	keys := signingKeys(t)
	reasons, questions := map[string]int{}, 0
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			for _, c := range f.Cases {
				w, err := authztest.NewWorld(f, keys)
				if err != nil {
					t.Fatal(err)
				}
				s := worldServer(t, w)
				for _, step := range c.All() {
					// Outages of parts that Explain does not ask are not its matter.
					var down []string
					for _, part := range step.Down {
						if part == "policy" || part == "feed" {
							down = append(down, part)
						}
					}
					step.Down = down
					if err := w.Begin(step); err != nil {
						t.Fatal(err)
					}
					asked, err := f.Question(step.Request, w.Now())
					if err != nil {
						t.Fatal(err)
					}
					for _, q := range questionsOf(f, step, asked) {
						questions++
						reasons[compareWithCheck(t, w, s, q)]++
					}
				}
			}
		})
	}
	if questions < 500 || len(reasons) < 12 {
		t.Errorf("%d questions with reasons %v: the test looks at too little", questions, reasons)
	}
}

// questionsOf asks the step's method and path as nobody, as everybody and with every key.
func questionsOf(f *authztest.File, step authztest.Step, asked authztest.Question) (all []ExplainRequest) {
	ip := netip.MustParseAddr("198.51.100.77")
	if a, err := netip.ParseAddr(step.Request.Client); err == nil {
		ip = a
	} else if a, err := netip.ParseAddr(authztest.Client); err == nil {
		ip = a
	}
	q := ExplainRequest{Method: asked.Method, Target: asked.Target, IP: ip, UserAgent: "Firefox/1"}
	add := func(uid, kid string) {
		q.UID, q.Kid = uid, kid
		all = append(all, q)
	}
	add("", "")
	add("NOBODY", "")
	add("", "nokey")
	for _, u := range f.Accounts.Users {
		add(u.UID, "")
	}
	for _, u := range f.Accounts.ServiceAccounts {
		add(u.UID, "")
	}
	for _, k := range f.Accounts.APIKeys {
		add("", k.Kid)
	}
	return all
}

func compareWithCheck(t *testing.T, w *authztest.World, s *Server, q ExplainRequest) (reason string) {
	t.Helper()
	ctx := context.Background()
	w.Activities() // taken out
	e, err := s.Explain(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := s.Explain(ctx, q); again.Status != e.Status || again.Reason != e.Reason {
		t.Errorf("%+v: a second time %+v, first %+v", q, again, e)
	}
	if n := len(w.Activities()); n != 0 {
		t.Errorf("%+v: explaining wrote %d activities", q, n)
	}

	r := request{method: q.Method, target: q.Target, userAgent: q.UserAgent, peer: q.IP}
	switch {
	case q.UID != "":
		o := session.Opening{UID: q.UID, IP: q.IP, UserAgent: q.UserAgent}
		if p, err := w.Accounts.Principal(ctx, q.UID); err == nil {
			o.Generation = p.SessionGeneration
		}
		cookie, opened, err := w.Sessions.Open(ctx, o, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		r.cookie, r.hasCookie = s.SessionName+"="+cookie, true
		r.csrf, r.hasCSRF = opened.CSRFToken, true
	case q.Kid != "":
		r.apiKey, r.nonce, r.signature = q.Kid, strconv.FormatInt(w.Now().UnixMilli(), 10), "-"
		r.hasAPIKey, r.hasNonce, r.hasSignature = true, true, true
		if key, err := w.Keys.Key(ctx, q.Kid); err == nil {
			mac := key.MAC(r.nonce, q.Kid)
			r.signature = hex.EncodeToString(mac[:])
		}
	}
	if s.Replay == ReplayEnforce && q.Kid != "" {
		return e.Reason // asked before with the same nonce, which is Check's matter alone
	}
	var d decision
	s.conclude(ctx, &r, &d, nil)
	status := d.status
	if !d.allowed() {
		_, status = d.outcome()
	}
	if e.Allowed != d.allowed() || e.Status != status || e.Reason != d.reason || e.Outage != d.outage ||
		e.Bearer != (d.bearer != "") || e.Snapshot != d.snapshot {
		t.Errorf("%+v:\nexplained %+v\ndecided %d %q, outage %v, snapshot %d", q, e, status, d.reason, d.outage, d.snapshot)
	}
	last := e.Steps[len(e.Steps)-1]
	want := map[bool]string{true: allowed, false: denied}[e.Allowed]
	if e.Outage {
		want = unavailable
	}
	if last.Outcome != want {
		t.Errorf("%+v: the last step is %+v, want %s; %+v", q, last, want, e)
	}
	for _, x := range e.Steps[:len(e.Steps)-1] {
		if x.Outcome != pass {
			t.Errorf("%+v: step %+v decided, but %+v follows", q, x, last)
		}
	}
	return e.Reason
}

func TestExplainIsOneQuestion(t *testing.T) {
	s := worldServer(t, small(t))
	if _, err := s.Explain(t.Context(), ExplainRequest{UID: "a", Kid: "b"}); !errors.Is(err, ErrTwoCredentials) {
		t.Errorf("got %v, want ErrTwoCredentials", err)
	}
}

// A failing account store is an outage, and the token of a warm key stays.
func TestExplainOutage(t *testing.T) {
	w := small(t)
	s := worldServer(t, w)
	f := &fakes{w: w, principal: func(context.Context, string) (*account.Principal, error) { return nil, errors.New("away") }}
	s.Accounts = f
	e, err := s.Explain(t.Context(), ExplainRequest{Method: "GET", Target: "/api/v2/peatio/x", UID: "U", IP: netip.MustParseAddr("192.0.2.1")})
	if err != nil || !e.Outage || e.Status != 503 || e.Steps[len(e.Steps)-1].Outcome != unavailable {
		t.Errorf("got %+v, %v; want an outage", e, err)
	}
}
