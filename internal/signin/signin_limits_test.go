package signin_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/secret"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// gate is a world whose service knows devices.
type gate struct {
	*world
	limits outage
	owner  account.User
}

// outage is a limiter that can be away.
type outage struct {
	limit.Memory
	err error
}

func (o *outage) Take(ctx context.Context, key string, r limit.Rule, now time.Time) (time.Duration, error) {
	if o.err != nil {
		return 0, o.err
	}
	return o.Memory.Take(ctx, key, r, now)
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{world: newWorld(t, worldtest.Config{})}
	g.serve(worldtest.Config{Devices: newDevices(t, 7)})
	g.owner = g.User("owner@example.com", 1)
	return g
}

// serve begins anew over the same database: the limiter has forgotten everything.
func (g *gate) serve(cfg worldtest.Config) {
	g.limits = outage{}
	g.Serve(cfg, g.Hasher, &g.limits)
}

// often lets accounts sign in as often as they like.
func (g *gate) often() {
	g.serve(worldtest.Config{
		Devices: newDevices(g.T, 7), Limits: signin.Limits{SignInAll: limit.Rule{Burst: 1000, Period: time.Minute}},
	})
}

// A try is a sign-in by somebody at the host, which is its own network.
type try struct {
	host                          byte
	email, password, code, device string
}

func (g *gate) try(in try) (signin.SignedIn, error) {
	c := browser
	c.IP = netip.AddrFrom4([4]byte{192, 0, 2, in.host})
	return g.SignIns.SignIn(g.T.Context(), signin.SignIn{
		Email: in.email, Password: in.password, OTPCode: in.code, Device: in.device, Client: c,
	})
}

// want makes a try and returns its error if it is not of the kind.
func (g *gate) want(in try, want error) {
	g.T.Helper()
	if _, err := g.try(in); !errors.Is(err, want) {
		g.T.Errorf("%+v: %v, want %v", in, err, want)
	}
}

// Known and unknown addresses have the same limits and get the same answers (W-I2, D3).
func TestSignInIsLimitedByAccountWhetherOrNotItExists(t *testing.T) {
	g := newGate(t)
	var told [2][]string
	for n, email := range []string{"owner@example.com", "nobody@example.com"} {
		for range 7 {
			before := g.Hasher.Matches
			g.Slept = 0
			_, err := g.try(try{byte(n), email, "wrong", "", ""})
			told[n] = append(told[n], fmt.Sprint(err, g.Hasher.Matches-before, g.Slept))
		}
	}
	if d := cmp.Diff(told[0], told[1]); d != "" {
		t.Errorf("known -, unknown +:\n%s", d)
	}
	want := fmt.Sprint("limit: too many attempts; retry after 3m0s 0 ", floor) // no hash, and the floor
	if told[0][4] == want || told[0][5] != want || told[0][6] != want {
		t.Errorf("told %q, want five wrong passwords and then %q", told[0], want)
	}
	// From anywhere, however it is spelled, and with the right password.
	g.want(try{9, " OWNER@example.com ", password, "", ""}, limit.ErrTooMany)
	for range 60 { // which costs the network nothing: nothing was tried
		g.want(try{9, g.owner.Email, "wrong", "", ""}, limit.ErrTooMany)
	}
	g.want(try{9, "other@example.com", "wrong", "", ""}, signin.ErrBadCredentials)
	g.Now = g.Now.Add(3 * time.Minute)
	g.want(try{9, " OWNER@example.com ", password, "", ""}, nil)
}

// Of many at once no more than five are looked at.
func TestSignInCountsBeforeItLooks(t *testing.T) {
	g := newGate(t)
	var looks slowHasher
	svc := worldtest.Open(worldtest.Config{FailureFloor: 1, Sleep: func(context.Context, time.Duration) {}}, g.DB, &looks, new(limit.Memory), nil)

	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			_, err := svc.SignIns.SignIn(t.Context(), signin.SignIn{Email: g.owner.Email, Password: "wrong", Client: browser})
			if !errors.Is(err, signin.ErrBadCredentials) && !errors.Is(err, limit.ErrTooMany) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := looks.Load(); got != 5 {
		t.Errorf("looked at %d passwords, want 5", got)
	}
}

type slowHasher struct{ atomic.Int32 }

func (h *slowHasher) Hash(context.Context, string) (string, error) { return "", nil }

func (h *slowHasher) Match(context.Context, string, string) (ok, rehash bool, err error) {
	h.Add(1)
	return false, false, nil
}

// A caller that hangs up while the password is looked at has tried it all the same. Else the
// bucket that only the right one clears would show when guesses without end have hit.
func TestSignInCountsCallersWhoLeave(t *testing.T) {
	g := newGate(t)
	for _, email := range []string{g.owner.Email, "nobody@example.com"} {
		for range 5 {
			ctx, leave := context.WithCancel(t.Context())
			svc := worldtest.Open(worldtest.Config{}, g.DB, leaver{leave}, &g.limits, func() time.Time { return g.Now })
			_, err := svc.SignIns.SignIn(ctx, signin.SignIn{Email: email, Password: "wrong", Client: browser})
			if !errors.Is(err, signin.ErrBadCredentials) {
				t.Fatalf("%s: %v, want ErrBadCredentials", email, err)
			}
		}
		g.want(try{9, email, password, "", ""}, limit.ErrTooMany)
	}
	if got := len(g.Activities(g.owner.UID)); got != 5 {
		t.Errorf("%d refusals are recorded, want 5", got)
	}
}

// leaver is a Hasher whose caller is gone before it has looked.
type leaver struct{ leave context.CancelFunc }

func (leaver) Hash(context.Context, string) (string, error) { return "", nil }

func (h leaver) Match(context.Context, string, string) (ok, rehash bool, err error) {
	h.leave()
	return false, false, nil
}

// A good sign-in clears its account's bucket, and takes nothing from its network's.
func TestSuccessClearsOnlyItsOwnBucket(t *testing.T) {
	g := newGate(t)
	g.often()
	mine := g.User("mine@example.com", 1)
	for n := range 50 { // all that the network has, with good sign-ins between
		g.want(try{1, fmt.Sprintf("guess%d@example.com", n), "wrong", "", ""}, signin.ErrBadCredentials)
		if n < 49 {
			g.want(try{1, mine.Email, password, "", ""}, nil)
		}
	}
	before := g.Hasher.Matches
	g.want(try{1, mine.Email, password, "", ""}, limit.ErrTooMany)
	for range 10 { // a network that must wait keeps nobody out of an account
		g.want(try{1, g.owner.Email, "wrong", "", ""}, limit.ErrTooMany)
	}
	if g.Hasher.Matches != before {
		t.Error("a password was hashed for a network that must wait")
	}
	for range 3 {
		for range 4 {
			g.want(try{2, g.owner.Email, "wrong", "", ""}, signin.ErrBadCredentials)
		}
		g.want(try{3, g.owner.Email, password, "", ""}, nil)
	}
}

// Wrong and used codes count like wrong passwords, a missing one does not; nothing is cleared
// before the second factor.
func TestSecondFactorIsPartOfTheSignIn(t *testing.T) {
	g := newGate(t)
	code := g.SecondFactor(g.owner)
	for range 3 {
		g.want(try{1, g.owner.Email, "wrong", "", ""}, signin.ErrBadCredentials)
	}
	for range 10 {
		g.want(try{1, g.owner.Email, password, "", ""}, factor.ErrMissingOTP)
	}
	g.want(try{1, g.owner.Email, password, "x", ""}, factor.ErrInvalidOTP)
	g.want(try{1, g.owner.Email, password, code(), ""}, nil) // the fifth; it clears
	g.want(try{1, g.owner.Email, password, code(), ""}, factor.ErrOTPReplay)
	for range 4 {
		g.want(try{1, g.owner.Email, "wrong", "", ""}, signin.ErrBadCredentials)
	}
	g.want(try{1, g.owner.Email, password, "", ""}, limit.ErrTooMany)
}

// A sign-in that is no failure is not counted.
func TestSignInGivesBackWhatIsNoFailure(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*gate)
		want  error
	}{
		"a banned owner":     {func(g *gate) { g.Put(g.owner.UID, func(u *account.User) { u.State = "banned" }) }, signin.ErrBanned},
		"a full pool":        {func(g *gate) { g.Hasher.Fail = secret.ErrBusy }, secret.ErrBusy},
		"a caller who left":  {func(g *gate) { g.Hasher.Fail = context.Canceled }, context.Canceled},
		"a good one":         {func(*gate) {}, nil},
		"an old digest too":  {func(g *gate) { g.Put(g.owner.UID, func(u *account.User) { u.PasswordDigest = "old:" + password }) }, nil},
		"codes at their end": {exhaustCodes, limit.ErrTooMany},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.often()
			c.spoil(g)
			for range 60 { // more than either bucket has
				g.want(try{1, g.owner.Email, password, "123456", ""}, c.want)
			}
		})
	}
}

func exhaustCodes(g *gate) {
	g.SecondFactor(g.owner)
	for range 5 {
		if err := g.Codes.VerifyOTP(g.T.Context(), actor(g.owner), "x"); !errors.Is(err, factor.ErrInvalidOTP) {
			g.T.Fatal(err)
		}
	}
}

// Good sign-ins end, too: 30 of one account, from wherever and with whatever device, before the
// password is looked at; whether or not anyone has the address.
func TestGoodSignInsOfOneAccountAreBounded(t *testing.T) {
	g := newGate(t)
	other := g.User("other@example.com", 1)
	jar := ""
	for n := range 30 {
		out, err := g.try(try{byte(n), g.owner.Email, password, "", jar})
		g.Must(err)
		if n%3 == 0 {
			jar = out.Device
		}
	}
	before := g.Hasher.Matches
	for n := range 264 {
		g.want(try{byte(n), " OWNER@example.com", password, "", []string{"", jar}[n%2]}, limit.ErrTooMany)
	}
	if g.Hasher.Matches != before {
		t.Error("passwords were hashed for an account that must wait")
	}
	g.want(try{1, other.Email, password, "", ""}, nil)
	g.Now = g.Now.Add(30 * time.Second)
	g.want(try{1, g.owner.Email, password, "", ""}, nil)
}

// Failing strangers use up only a few of the owner's good sign-ins.
func TestFailuresDoNotUseUpGoodSignIns(t *testing.T) {
	g := newGate(t)
	in, err := g.try(try{1, g.owner.Email, password, "", ""})
	g.Must(err)
	for n := range 200 {
		_, _ = g.try(try{byte(2 + n%200), g.owner.Email, "wrong", "", ""})
	}
	for range 24 {
		g.want(try{1, g.owner.Email, password, "", in.Device}, nil)
	}
}

// A caller whose own network or account fills the queue must wait: that is no outage.
func TestCrowdedCallersAreToldToWait(t *testing.T) {
	g := newGate(t)
	g.Hasher.Fail = secret.ErrCrowded
	_, err := g.try(try{1, g.owner.Email, password, "", ""})
	if !errors.Is(err, limit.ErrTooMany) || limit.RetryAfter(err) != time.Second {
		t.Errorf("%v, want to wait a second", err)
	}
	_, err = g.SignIns.SignUp(t.Context(), signin.SignUp{Email: "new@example.com", Password: "Tecohvi0", Client: browser})
	if !errors.Is(err, limit.ErrTooMany) {
		t.Errorf("sign-up: %v", err)
	}
	g.Hasher.Fail = nil
	g.want(try{1, g.owner.Email, password, "", ""}, nil)
}

// No client's password is hashed but in the turn of its network and account.
func TestClientsWaitForHashesInTurn(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	for name, hash := range map[string]func(){
		"sign-up": func() { _, err := w.signUp("a@example.com"); w.Must(err) },
		"confirmation": func() {
			_, err := w.signUp("b@example.com")
			w.Must(err)
			w.Hasher.Callers = nil
			_, _, err = w.confirm(w.link())
			w.Must(err)
		},
		"sign-in": func() {
			u := w.User("c@example.com", 1)
			w.Put(u.UID, func(u *account.User) { u.PasswordDigest = "old:" + password }) // hashed again
			w.Hasher.Callers = nil
			w.Must(second(w.signIn(u.Email, password, "")))
		},
		"reset": func() {
			w.User("d@example.com", 1)
			link := w.resetLink("d@example.com")
			w.Hasher.Callers = nil
			w.Must(w.reset(link, otherPassword))
		},
		"auth0": func() { w.Must(second(w.auth0("e@example.com", ""))) },
	} {
		w.News()
		w.Hasher.Callers = nil
		hash()
		w.News()
		if len(w.Hasher.Callers) == 0 {
			t.Errorf("%s: nothing was hashed: the test sees nothing", name)
		}
		for _, c := range w.Hasher.Callers {
			if c.Account == "" || c.Network != limit.Network(browser.IP) || c.Wide != limit.WideNetwork(browser.IP) {
				t.Errorf("%s: a password is hashed for %+v", name, c)
			}
		}
	}
}

// An outage of the limiter lets nobody in, and hashes nothing.
func TestSignInWithoutLimiter(t *testing.T) {
	g := newGate(t)
	g.limits.err = errors.New("away")
	_, err := g.try(try{1, g.owner.Email, password, "", ""})
	if !errors.Is(err, g.limits.err) || errors.Is(err, limit.ErrTooMany) || g.Hasher.Matches != 0 {
		t.Errorf("err = %v after %d matches, want the outage before any", err, g.Hasher.Matches)
	}
	if rows := g.Activities(g.owner.UID); len(rows) != 0 {
		t.Errorf("activities %q, want none", rows)
	}
}

func TestSignInTellsNewDevices(t *testing.T) {
	g := newGate(t)
	other := g.User("other@example.com", 1)
	first, err := g.try(try{1, g.owner.Email, password, "", "no cookie of ours"})
	g.Must(err)
	again, err := g.try(try{1, g.owner.Email, password, "", first.Device})
	g.Must(err)
	second, err := g.try(try{1, other.Email, password, "", again.Device})
	g.Must(err)
	both, err := g.try(try{1, g.owner.Email, password, "", second.Device})
	g.Must(err)
	got := []bool{first.NewDevice, again.NewDevice, second.NewDevice, both.NewDevice}
	if d := cmp.Diff([]bool{true, false, true, false}, got); d != "" {
		t.Errorf("new (-want +got):\n%s", d)
	}
	g.serve(worldtest.Config{}) // remembers none, and so reports none
	plain, err := g.try(try{1, g.owner.Email, password, "", both.Device})
	if err != nil || plain.Device != "" || plain.NewDevice {
		t.Errorf("without devices: cookie %q, new %v (%v)", plain.Device, plain.NewDevice, err)
	}
}

// A device has a bucket of its own, which nobody else's failures reach, nor its own others.
func TestKnownDeviceHasItsOwnBucket(t *testing.T) {
	g := newGate(t)
	mine := g.User("mine@example.com", 1)
	in, err := g.try(try{1, g.owner.Email, password, "", ""})
	g.Must(err)
	foreign, err := g.try(try{2, mine.Email, password, "", ""})
	g.Must(err)
	for range 5 {
		g.want(try{2, g.owner.Email, "wrong", "", foreign.Device}, signin.ErrBadCredentials)
	}
	g.want(try{2, g.owner.Email, password, "", foreign.Device}, limit.ErrTooMany)
	g.want(try{1, g.owner.Email, password, "", in.Device}, nil)
	// That cleared the device's bucket alone.
	g.want(try{2, g.owner.Email, password, "", foreign.Device}, limit.ErrTooMany)
	for range 5 {
		g.want(try{1, g.owner.Email, "wrong", "", in.Device}, signin.ErrBadCredentials)
	}
	g.want(try{1, g.owner.Email, password, "", in.Device}, limit.ErrTooMany)
	g.Now = g.Now.Add(signin.DeviceLife)
	for range 5 { // known no more: the account's
		g.want(try{3, g.owner.Email, "wrong", "", in.Device}, signin.ErrBadCredentials)
	}
	g.want(try{1, g.owner.Email, password, "", in.Device}, limit.ErrTooMany)
}

// No sequence of tries from other networks keeps an owner out of a device that knows the
// account (W-I2: never lock from the outside).
func TestNobodyLocksOutAKnownDevice(t *testing.T) {
	g := newGate(t)
	mine := g.User("mine@example.com", 1)
	rapid.Check(t, func(t *rapid.T) {
		g.Now = g.Now.Add(24 * time.Hour)
		in, err := g.try(try{1, g.owner.Email, password, "", ""})
		if err != nil {
			t.Fatal(err)
		}
		jar := in.Device
		attack := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) try {
			return try{
				host:     rapid.ByteRange(2, 5).Draw(t, "host"),
				email:    rapid.SampledFrom([]string{g.owner.Email, g.owner.Email, mine.Email, "x@y.io"}).Draw(t, "email"),
				password: rapid.SampledFrom([]string{"wrong", "wrong", password + "!"}).Draw(t, "password"),
				device:   rapid.SampledFrom([]string{"", "mine", "forged"}).Draw(t, "device"),
			}
		}), 0, 30).Draw(t, "attack")
		pause := time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second
		var attackers string
		for _, a := range attack {
			switch {
			case a.device == "mine":
				a.device = attackers
			case a.device == "forged" && jar != "":
				a.device = jar[:len(jar)-8] + "AAAAAAAA"
			}
			if a.email == mine.Email { // whose password the attacker has
				a.password = password
			}
			if out, err := g.try(a); err == nil {
				attackers = out.Device
			}
			g.Now = g.Now.Add(pause)
		}
		out, err := g.try(try{1, g.owner.Email, password, "", jar})
		if err != nil || out.NewDevice {
			t.Fatalf("the owner: %v, new device %v", err, out.NewDevice)
		}
	})
}

// The events of a sign-in, and their language (AZ-370).
func TestSignInAnnounces(t *testing.T) {
	g := newGate(t)
	var seen []event.Event
	g.DB = storetest.Open(t, store.WithClock(func() time.Time { return g.Now }),
		store.WithDestinations(func(e event.Event) []string { seen = append(seen, e); return nil }))
	g.serve(worldtest.Config{Devices: newDevices(t, 7)})
	u := account.User{
		UID: "ID1", Email: "owner@example.com", PasswordDigest: "new:" + password, Role: "member", State: "active", SessionGeneration: 1,
	}
	g.Must(g.DB.AddUser(t.Context(), &u))
	seen = nil
	in, err := g.SignIns.SignIn(t.Context(), signin.SignIn{Email: u.Email, Password: password, Language: "uk-UA", Client: browser})
	g.Must(err)
	_, err = g.SignIns.SignIn(t.Context(), signin.SignIn{Email: u.Email, Password: password, Device: in.Device, Client: browser})
	g.Must(err)
	_, err = g.SignIns.SignIn(t.Context(), signin.SignIn{Email: u.Email, Password: password, Language: "uk-UA", Client: browser})
	g.Must(err)
	g.want(try{1, u.Email, "wrong", "", ""}, signin.ErrBadCredentials)
	var told []string
	for _, e := range seen {
		told = append(told, e.Name+" "+e.Language)
	}
	if d := cmp.Diff([]string{
		"system.session.create uk", // the first ever is on no device that could be new
		"system.session.create en",
		"system.session.create uk", "system.session.new_device uk",
	}, told); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// meanwhile is a Hasher that does something once, right after a password was matched or hashed.
type meanwhile struct {
	account.Hasher
	then func()
}

func (h *meanwhile) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	ok, rehash, err = h.Hasher.Match(ctx, digest, password)
	if then := h.then; then != nil {
		h.then = nil
		then()
	}
	return ok, rehash, err
}

func (h *meanwhile) Hash(ctx context.Context, password string) (string, error) {
	digest, err := h.Hasher.Hash(ctx, password)
	if then := h.then; then != nil {
		h.then = nil
		then()
	}
	return digest, err
}

// The facts that a sign-in rests on must still stand when it is committed: its session is of the
// generation of that moment, so that a change of the account would not end it any more.
func TestSignInWhileTheAccountChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*account.User)
		want   error
	}{
		"a new password":       {func(u *account.User) { u.PasswordDigest = "new:" + otherPassword }, signin.ErrBadCredentials},
		"another address":      {func(u *account.User) { u.Email = "b@example.com" }, signin.ErrBadCredentials},
		"a second factor":      {func(u *account.User) { u.OTP = true }, signin.ErrBadCredentials},
		"a ban":                {func(u *account.User) { u.State = account.StateBanned }, signin.ErrBanned},
		"nothing that matters": {func(u *account.User) { u.Level = 3 }, nil},
	} {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 1)
		h := &meanwhile{Hasher: w.Hasher}
		h.then = func() { w.Put(u.UID, c.change) }
		w.Serve(worldtest.Config{}, h, new(limit.Memory))
		if _, err := w.signIn("a@example.com", password, ""); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || h.then != nil {
			t.Errorf("%s meanwhile: %v, want %v", name, err, c.want)
		}
	}
}

// Nor does a reset go through of an account that is banned, or has another address, by then.
func TestResetWhileTheAccountChanges(t *testing.T) {
	for name, change := range map[string]func(*account.User){
		"a ban":           func(u *account.User) { u.State = account.StateBanned },
		"another address": func(u *account.User) { u.Email = "b@example.com" },
	} {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 1)
		link := w.resetLink(u.Email)
		h := &meanwhile{Hasher: w.Hasher}
		h.then = func() { w.Put(u.UID, change) }
		w.Serve(worldtest.Config{Mail: worldtest.Letters{}}, h, new(limit.Memory))
		if err := w.reset(link, otherPassword); !errors.Is(err, signin.ErrUtilizedToken) || h.then != nil {
			t.Errorf("%s meanwhile: %v, want ErrUtilizedToken", name, err)
		}
		if got := w.Reload(u.UID).PasswordDigest; got != u.PasswordDigest {
			t.Errorf("%s meanwhile: the password is another", name)
		}
	}
}
