package account

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"barong/internal/limit"
)

// tight is a service with a limiter and no store.
func tight(limits limit.Store, cfg Limits) *Service {
	return NewService(Config{Limits: cfg}, nil, nil, limits, func() time.Time { return time.Unix(1_800_000_000, 0) })
}

func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	many, ok := errors.AsType[TooManyAttempts](err)
	if !ok && err != nil {
		t.Fatalf("err = %v, want TooManyAttempts or none", err)
	}
	return many.RetryAfter
}

func TestSpendTakesAllOrNone(t *testing.T) {
	s := tight(new(limit.Memory), Limits{})
	ctx := t.Context()
	wide := take{key: "wide", rule: limit.Rule{Burst: 2, Period: time.Minute}}
	hour, minute := take{key: "hour", rule: limit.Rule{Burst: 1, Period: time.Hour}}, take{key: "minute", rule: limit.Rule{Burst: 1, Period: time.Minute}}
	if got := wait(t, s.spend(ctx, hour, minute)); got != 0 {
		t.Fatalf("first: wait %v, want none", got)
	}
	for range 5 { // the longest wait, whatever the order; wide is given back
		if got := wait(t, s.spend(ctx, wide, minute, hour)); got != time.Hour {
			t.Errorf("wait %v, want 1h", got)
		}
		if got := wait(t, s.spend(ctx, hour, wide, minute)); got != time.Hour {
			t.Errorf("wait %v, want 1h", got)
		}
	}
	for range 2 {
		if got := wait(t, s.spend(ctx, wide)); got != 0 {
			t.Errorf("the one that was given back: wait %v, want none", got)
		}
	}
	if got := wait(t, s.spend(ctx, wide)); got != 30*time.Second {
		t.Errorf("third: wait %v, want 30s", got)
	}
}

// broken fails at the key failsAt.
type broken struct {
	limit.Memory
	take, giveBack error
	failsAt        string
}

func (b *broken) Take(ctx context.Context, key string, r limit.Rule, now time.Time) (time.Duration, error) {
	if key == b.failsAt {
		return 0, b.take
	}
	return b.Memory.Take(ctx, key, r, now)
}

func (b *broken) Return(ctx context.Context, key string, r limit.Rule, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(b.giveBack, b.Memory.Return(ctx, key, r, now))
}

func TestSpendInAnOutage(t *testing.T) {
	away := errors.New("away")
	one, two := take{key: "one", rule: limit.Rule{Burst: 1, Period: time.Hour}}, take{key: "two", rule: limit.Rule{Burst: 1, Period: time.Hour}}
	b := &broken{take: away, failsAt: "two"}
	s := tight(b, Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // takes are given back for callers that have left, too
	if err := s.spend(ctx, one, two); !errors.Is(err, away) || errors.Is(err, ErrTooManyAttempts) {
		t.Errorf("err = %v, want the outage", err)
	}
	if got := wait(t, s.spend(t.Context(), one)); got != 0 {
		t.Errorf("wait %v, want what was taken before the outage back", got)
	}
	b.failsAt, b.giveBack = "", away
	if err := s.spend(t.Context(), two, one); !errors.Is(err, away) {
		t.Errorf("giving back failed: %v, want the outage", err)
	}
}

// W-I2, W-I4, W-I11, W-I13, W-I14, W-I26: the figures, each for every network.
func TestFlowsByNetwork(t *testing.T) {
	mails := func(s *Service, c Client) error { return s.spend(t.Context(), s.byMail("reset", "a@b.io")...) }
	for name, c := range map[string]struct {
		try  func(*Service, Client) error
		n    int
		wait time.Duration
	}{
		"sign-in: 50 in 15 minutes":           {limited(t, flowSignIn), 50, 18 * time.Second},
		"sign-up: 10 an hour":                 {limited(t, flowSignUp), 10, 6 * time.Minute},
		"mails: 20 an hour":                   {limited(t, flowMail), 20, 3 * time.Minute},
		"tokens of mails: 10 in 15 minutes":   {limited(t, flowMailToken), 10, 90 * time.Second},
		"an unknown flow lets nothing pass":   {limited(t, "flow"), 0, time.Minute},
		"mails to one account: one a minute":  {mails, 1, time.Minute},
		"one-time codes: five in 15 minutes":  {func(s *Service, _ Client) error { return s.spend(t.Context(), s.byCode("ID1")) }, 5, 3 * time.Minute},
		"sign-in to one: five in 15 minutes":  {func(s *Service, _ Client) error { return s.spend(t.Context(), s.bySignIn("a@b.io")) }, 5, 3 * time.Minute},
		"from one device: five in 15 minutes": {func(s *Service, _ Client) error { return s.spend(t.Context(), s.byDevice("ID1", "d")) }, 5, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := tight(new(limit.Memory), Limits{})
			here := Client{IP: netip.MustParseAddr("192.0.2.1")}
			for n := range c.n {
				if err := c.try(s, here); err != nil {
					t.Fatalf("try %d: %v", n+1, err)
				}
			}
			if got := wait(t, c.try(s, here)); got != c.wait {
				t.Errorf("one more: wait %v, want %v", got, c.wait)
			}
		})
	}
}

func limited(t *testing.T, f flow) func(*Service, Client) error {
	t.Helper()
	return func(s *Service, c Client) error { return s.spend(t.Context(), s.byNetwork(f, c)) }
}

// The networks of an IPv6 /48 or an IPv4 /24 have together eight times the share of one, and a
// network refused for that has spent nothing of its own.
func TestFlowsByWideNetwork(t *testing.T) {
	for name, at := range map[string]func(n int) netip.Addr{
		"an IPv4 /24": func(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) },
		"an IPv6 /48": func(n int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, byte(n), 0, 7}) },
	} {
		s := tight(new(limit.Memory), Limits{})
		passed := 0
		for n := range 200 {
			if s.spend(t.Context(), s.byNetwork(flowSignUp, Client{IP: at(n)})) == nil {
				passed++
			}
		}
		if passed != 80 {
			t.Errorf("%s: %d sign-ups passed, want 80", name, passed)
		}
		last := s.byNetwork(flowSignUp, Client{IP: at(199)})
		last.around = ""
		for n := range 10 {
			if err := s.spend(t.Context(), last); err != nil {
				t.Fatalf("%s: %d of its own are spent", name, 10-n)
			}
		}
		if err := s.spend(t.Context(), s.byNetwork(flowSignUp, Client{IP: netip.MustParseAddr("198.51.100.1")})); err != nil {
			t.Errorf("%s keeps others out: %v", name, err)
		}
	}
}

// W-I11: five an hour, however far apart.
func TestMailsToOneAccountAnHour(t *testing.T) {
	s := tight(new(limit.Memory), Limits{})
	now := s.now()
	s.now = func() time.Time { return now }
	for n := range 5 {
		if err := s.spend(t.Context(), s.byMail("reset", " A@b.io")...); err != nil {
			t.Fatalf("mail %d: %v", n+1, err)
		}
		now = now.Add(time.Minute)
	}
	if got := wait(t, s.spend(t.Context(), s.byMail("reset", "a@B.io")...)); got != 7*time.Minute {
		t.Errorf("sixth after five minutes: wait %v, want 7m", got)
	}
	if err := s.spend(t.Context(), s.byMail("confirmation", "a@b.io")...); err != nil {
		t.Errorf("of another kind: %v", err)
	}
}

func TestLimitsThatAreSetOrOff(t *testing.T) {
	s := tight(new(limit.Memory), Limits{SignUpNetwork: limit.Rule{Burst: 1, Period: time.Minute}})
	if err := s.spend(t.Context(), s.byNetwork(flowSignUp, Client{})); err != nil {
		t.Error(err)
	}
	if got := wait(t, s.spend(t.Context(), s.byNetwork(flowSignUp, Client{}))); got != time.Minute {
		t.Errorf("set to one a minute: wait %v, want 1m", got)
	}
	s = tight(new(limit.Memory), Limits{Off: true})
	for range 100 {
		if err := errors.Join(s.spend(t.Context(), s.byNetwork(flowSignUp, Client{})), s.spend(t.Context(), s.byCode("ID1"))); err != nil {
			t.Fatalf("switched off: %v", err)
		}
	}
}
