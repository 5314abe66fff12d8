package signin

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
)

// tight is a service with a limiter and no store, whose clock stands.
func tight(limits limit.Store, cfg Limits) *Service {
	return clocked(limits, cfg, func() time.Time { return time.Unix(1_800_000_000, 0) })
}

func clocked(limits limit.Store, cfg Limits, now func() time.Time) *Service {
	s, err := NewService(Config{UIDPrefix: "ID", FailureFloor: 1, Domain: "http://localhost", Limits: cfg},
		Parts{Attempts: limit.NewAttempts(limits, now), Now: now})
	if err != nil {
		panic(err)
	}
	return s
}

func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	many, ok := errors.AsType[limit.TooMany](err)
	if !ok && err != nil {
		t.Fatalf("err = %v, want limit.TooMany or none", err)
	}
	return many.RetryAfter
}

// W-I2, W-I4, W-I11, W-I13, W-I14, W-I26: the figures, each for every network.
func TestFlowsByNetwork(t *testing.T) {
	mails := func(s *Service, c account.Client) error {
		return s.attempts.Spend(t.Context(), s.byMail("reset", "a@b.io")...)
	}
	for name, c := range map[string]struct {
		try  func(*Service, account.Client) error
		n    int
		wait time.Duration
	}{
		"sign-in: 50 in 15 minutes":           {limited(t, flowSignIn), 50, 18 * time.Second},
		"sign-up: 10 an hour":                 {limited(t, flowSignUp), 10, 6 * time.Minute},
		"mails: 20 an hour":                   {limited(t, flowMail), 20, 3 * time.Minute},
		"tokens of mails: 10 in 15 minutes":   {limited(t, flowMailToken), 10, 90 * time.Second},
		"an unknown flow lets nothing pass":   {limited(t, "flow"), 0, time.Minute},
		"mails to one account: one a minute":  {mails, 1, time.Minute},
		"sign-in to one: five in 15 minutes":  {func(s *Service, _ account.Client) error { return s.attempts.Spend(t.Context(), s.bySignIn("a@b.io")) }, 5, 3 * time.Minute},
		"from one device: five in 15 minutes": {func(s *Service, _ account.Client) error { return s.attempts.Spend(t.Context(), s.byDevice("ID1", "d")) }, 5, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := tight(new(limit.Memory), Limits{})
			here := account.Client{IP: netip.MustParseAddr("192.0.2.1")}
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

func limited(t *testing.T, f flow) func(*Service, account.Client) error {
	t.Helper()
	return func(s *Service, c account.Client) error { return s.attempts.Spend(t.Context(), s.byNetwork(f, c)) }
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
			if s.attempts.Spend(t.Context(), s.byNetwork(flowSignUp, account.Client{IP: at(n)})) == nil {
				passed++
			}
		}
		if passed != 80 {
			t.Errorf("%s: %d sign-ups passed, want 80", name, passed)
		}
		last := s.byNetwork(flowSignUp, account.Client{IP: at(199)})
		last.Around = ""
		for n := range 10 {
			if err := s.attempts.Spend(t.Context(), last); err != nil {
				t.Fatalf("%s: %d of its own are spent", name, 10-n)
			}
		}
		if err := s.attempts.Spend(t.Context(), s.byNetwork(flowSignUp, account.Client{IP: netip.MustParseAddr("198.51.100.1")})); err != nil {
			t.Errorf("%s keeps others out: %v", name, err)
		}
	}
}

// W-I11: five an hour, however far apart.
func TestMailsToOneAccountAnHour(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := clocked(new(limit.Memory), Limits{}, func() time.Time { return now })
	for n := range 5 {
		if err := s.attempts.Spend(t.Context(), s.byMail("reset", " A@b.io")...); err != nil {
			t.Fatalf("mail %d: %v", n+1, err)
		}
		now = now.Add(time.Minute)
	}
	if got := wait(t, s.attempts.Spend(t.Context(), s.byMail("reset", "a@B.io")...)); got != 7*time.Minute {
		t.Errorf("sixth after five minutes: wait %v, want 7m", got)
	}
	if err := s.attempts.Spend(t.Context(), s.byMail("confirmation", "a@b.io")...); err != nil {
		t.Errorf("of another kind: %v", err)
	}
}

func TestLimitsThatAreSetOrOff(t *testing.T) {
	s := tight(new(limit.Memory), Limits{SignUpNetwork: limit.Rule{Burst: 1, Period: time.Minute}})
	if err := s.attempts.Spend(t.Context(), s.byNetwork(flowSignUp, account.Client{})); err != nil {
		t.Error(err)
	}
	if got := wait(t, s.attempts.Spend(t.Context(), s.byNetwork(flowSignUp, account.Client{}))); got != time.Minute {
		t.Errorf("set to one a minute: wait %v, want 1m", got)
	}
}
