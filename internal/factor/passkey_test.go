package factor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/factor/passkeytest"
	"barong/internal/invalid"
	"barong/internal/store/storetest"
)

// A passkey is registered, listed, shown, renamed and deleted; sessions end with each change (D11).
func TestPasskeyLifeCycle(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := &world{worldtest.NewOn(t, worldtest.Config{}, open)}
		ctx := t.Context()
		u, d := w.User("a@example.com", 1), worldtest.NewDevice()
		w.News()
		cookie, answer := w.NewPasskey(u, d, "")
		before := w.Reload(u.UID).SessionGeneration
		p, generation, err := w.Codes.AddPasskey(ctx, actor(u), cookie, answer, "  my   phone ")
		w.Must(err)
		if now := w.Reload(u.UID).SessionGeneration; now <= before || now != generation {
			t.Errorf("generation %d, then %d (returned %d), want sessions ended", before, now, generation)
		}
		want := factor.Passkey{
			ID: p.ID, UserUID: u.UID, Name: "my phone", CredentialID: d.Keys[0].ID, Handle: d.Keys[0].Handle,
			PublicKey: p.PublicKey, CreatedAt: p.CreatedAt,
		}
		all, err := w.Codes.Passkeys(ctx, actor(u))
		w.Must(err)
		if d := cmp.Diff([]factor.Passkey{want}, all); d != "" || len(want.Handle) != 32 || strings.Contains(string(want.Handle), u.UID) {
			t.Errorf("passkeys (-want +got):\n%s", d)
		}
		if news := worldtest.Names(w.News()); !slices.Contains(news, "system.user.passkey.added:en") {
			t.Errorf("events %v, want one for the mail", news)
		}

		// The same handle for the second; the count follows the device.
		other := worldtest.NewDevice()
		second := w.Passkey(w.Reload(u.UID), other, "")
		if !slices.Equal(second.Handle, p.Handle) {
			t.Error("a user has two handles")
		}
		cookie, answer = w.ShowPasskey(d)
		shown, err := w.Codes.ProvePasskey(ctx, cookie, answer)
		w.Must(err)
		if shown.ID != p.ID || shown.Count != 1 {
			t.Errorf("proved %s with count %d, want %s with 1", shown.ID, shown.Count, p.ID)
		}
		if p, err = w.Codes.RenamePasskey(ctx, actor(u), p.ID, "old phone"); err != nil || p.Name != "old phone" {
			t.Errorf("renamed to %q, %v", p.Name, err)
		}
		for name, err := range map[string]error{
			"rename another's": func() error { _, err := w.Codes.RenamePasskey(ctx, actor(u), "no", "x"); return err }(),
			"delete another's": func() error {
				_, err := w.Codes.RemovePasskey(ctx, actor(u), w.Reload(u.UID), "no")
				return err
			}(),
		} {
			if !errors.Is(err, factor.ErrNoPasskey) || !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNoPasskey", name, err)
			}
		}
		if _, err := w.Codes.RenamePasskey(ctx, actor(u), p.ID, strings.Repeat("ж", 65)); !slices.Equal(worldtest.Tokens(err), []string{"name.too_long"}) {
			t.Errorf("a long name: %v", err)
		}
		var bad invalid.Fields
		if _, _, err := w.Codes.AddPasskey(ctx, actor(u), "", nil, strings.Repeat("x", 65)); !errors.As(err, &bad) {
			t.Errorf("a long name of a new one: %v", err)
		}
		if _, err := w.Codes.RemovePasskey(ctx, actor(u), u, p.ID); !errors.Is(err, account.ErrSessionEnded) {
			t.Errorf("a proof of before sessions ended: %v, want ErrSessionEnded", err)
		}
		before = w.Reload(u.UID).SessionGeneration
		if generation, err = w.Codes.RemovePasskey(ctx, actor(u), w.Reload(u.UID), p.ID); err != nil || generation <= before {
			t.Errorf("deleted: %v, generation %d after %d", err, generation, before)
		}
		cookie, answer = w.ShowPasskey(d)
		if _, err := w.Codes.ProvePasskey(ctx, cookie, answer); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("a deleted passkey: %v, want ErrBadPasskey", err)
		}
		if d := cmp.Diff([]string{"otp add passkey succeed", "otp add passkey succeed", "otp rename passkey succeed", "otp delete passkey succeed"},
			w.Activities(u.UID)); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	})
}

func TestPasskeysAreBounded(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	for range factor.MaxPasskeys - 1 {
		w.Passkey(u, worldtest.NewDevice(), "")
	}
	// Of two that were begun, one is the last.
	for n, want := range []error{nil, factor.ErrTooManyPasskeys} {
		d := worldtest.NewDevice()
		if n == 0 {
			w.Passkey(u, d, "")
			continue
		}
		if _, err := w.SignIns.BeginPasskey(t.Context(), actor(u), password, ""); !errors.Is(err, want) {
			t.Errorf("begin: %v, want %v", err, want)
		}
	}
}

// A device that has a passkey of the account is left out, and one passkey is nobody else's.
func TestPasskeyIsRegisteredOnce(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, thief, d := w.User("a@example.com", 1), w.User("b@example.com", 1), worldtest.NewDevice()
	w.Passkey(u, d, "")
	id := d.Keys[0].ID
	fake := worldtest.NewDevice()
	// The credential id is in the signed data, too.
	fake.Twist = func(a *passkeytest.Answer) { a.ID = id }
	fake.Forge = func(a *passkeytest.Answer) { copy(a.Data[55:], id) }
	cookie, answer := w.NewPasskey(thief, fake, "")
	if _, _, err := w.Codes.AddPasskey(t.Context(), actor(thief), cookie, answer, ""); !errors.Is(err, factor.ErrPasskeyTaken) {
		t.Errorf("another's credential id: %v, want ErrPasskeyTaken", err)
	}
	c, err := w.SignIns.BeginPasskey(t.Context(), actor(u), password, "")
	w.Must(err)
	if len(c.Exclude) != 1 || !slices.Equal(c.Exclude[0], id) {
		t.Errorf("excluded are %v, want the passkey that there is", c.Exclude)
	}
	if text := fmt.Sprintf("%v %#v", c, c); strings.Contains(text, c.Cookie) {
		t.Error("printing a challenge shows its cookie")
	}
}

// wrongs are all ways to answer a challenge that must be refused, but for those about the cookie.
func wrongs(id func() []byte) map[string]passkeytest.Device {
	twist := func(f func(*passkeytest.Answer)) passkeytest.Device { return passkeytest.Device{Twist: f} }
	forge := func(f func(*passkeytest.Answer)) passkeytest.Device { return passkeytest.Device{Forge: f} }
	return map[string]passkeytest.Device{
		"a page of another site":        twist(func(a *passkeytest.Answer) { a.Origin = "https://evil.example" }),
		"a page of another port":        twist(func(a *passkeytest.Answer) { a.Origin = "http://localhost:8003" }),
		"a page over TLS":               twist(func(a *passkeytest.Answer) { a.Origin = "https://localhost:8001" }),
		"a site below":                  twist(func(a *passkeytest.Answer) { a.Origin = "http://a.localhost:8001" }),
		"a page in a frame of another":  twist(func(a *passkeytest.Answer) { a.CrossOrigin = true }),
		"another domain's passkey":      twist(func(a *passkeytest.Answer) { a.RPID = "evil.example" }),
		"no verified user":              {Flags: passkeytest.Present},
		"nobody there":                  {Flags: passkeytest.Verified},
		"a backup of what has none":     {Flags: passkeytest.Present | passkeytest.Verified | passkeytest.BackedUp},
		"another challenge":             twist(func(a *passkeytest.Answer) { a.Challenge = strings.Repeat("A", 43) }),
		"no challenge":                  twist(func(a *passkeytest.Answer) { a.Challenge = "" }),
		"a payment":                     twist(func(a *passkeytest.Answer) { a.Type = "payment.get" }),
		"data that is cut":              forge(func(a *passkeytest.Answer) { a.Data = a.Data[:30] }),
		"flags that were changed":       forge(func(a *passkeytest.Answer) { a.Data[32] |= passkeytest.Eligible; a.Data[32] ^= 0x80 }),
		"a passkey by another name":     forge(func(a *passkeytest.Answer) { a.ID = append(slices.Clone(a.ID[:15]), a.ID[15]+1) }),
		"a passkey without a name":      forge(func(a *passkeytest.Answer) { a.ID = nil }),
		"the name of another's passkey": forge(func(a *passkeytest.Answer) { a.ID = id() }),
	}
}

// Every way to answer a challenge wrongly is refused, at registration and at sign-in.
func TestWrongAnswersAreRefused(t *testing.T) {
	w := newWorld(t, worldtest.Config{Unlimited: true})
	ctx := t.Context()
	u, victim := w.User("a@example.com", 1), w.User("b@example.com", 1)
	honest, victims := worldtest.NewDevice(), worldtest.NewDevice()
	w.Passkey(u, honest, "")
	w.Passkey(victim, victims, "")
	u = w.Reload(u.UID)
	for name, wrong := range wrongs(func() []byte { return victims.Keys[0].ID }) {
		d := *honest.Clone()
		d.Flags, d.Twist, d.Forge = wrong.Flags, wrong.Twist, wrong.Forge
		cookie, answer := w.ShowPasskey(&d)
		if _, err := w.Codes.ProvePasskey(ctx, cookie, answer); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("sign-in, %s: %v, want ErrBadPasskey", name, err)
		}
		d.Keys = nil
		cookie, answer = w.NewPasskey(u, &d, "")
		if _, _, err := w.Codes.AddPasskey(ctx, actor(u), cookie, answer, ""); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("registration, %s: %v, want ErrBadPasskey", name, err)
		}
	}
	for name, forge := range map[string]func(*passkeytest.Answer){
		"client data that was changed": func(a *passkeytest.Answer) { a.ClientData = append(a.ClientData, ' ') },
		"another signature":            func(a *passkeytest.Answer) { a.Signature[len(a.Signature)-1] ^= 1 },
		"no signature":                 func(a *passkeytest.Answer) { a.Signature = nil },
		"another's handle":             func(a *passkeytest.Answer) { a.Handle = victims.Keys[0].Handle },
		"no handle":                    func(a *passkeytest.Answer) { a.Handle = nil },
		"another's name and handle":    func(a *passkeytest.Answer) { a.Handle, a.ID = victims.Keys[0].Handle, victims.Keys[0].ID },
		"a count that was changed":     func(a *passkeytest.Answer) { a.Data[36]++ },
		"an answer to a registration": func(a *passkeytest.Answer) {
			a.ClientData = []byte(strings.Replace(string(a.ClientData), "get", "create", 1))
		},
	} {
		d := honest.Clone()
		d.Forge = forge
		cookie, answer := w.ShowPasskey(d)
		if _, err := w.Codes.ProvePasskey(ctx, cookie, answer); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("sign-in, %s: %v, want ErrBadPasskey", name, err)
		}
	}
	for _, format := range []string{"tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound", "x"} {
		d := worldtest.NewDevice()
		d.Twist = func(a *passkeytest.Answer) { a.Format = format }
		cookie, answer := w.NewPasskey(u, d, "")
		if _, _, err := w.Codes.AddPasskey(ctx, actor(u), cookie, answer, ""); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("attestation %s: %v, want ErrBadPasskey", format, err)
		}
	}
	if all, err := w.Codes.Passkeys(ctx, actor(u)); err != nil || len(all) != 1 {
		t.Errorf("%d passkeys (%v), want the one that is honest", len(all), err)
	}
}

// A challenge is answered once, within five minutes, by the browser that asked for it, for its
// purpose and its user.
func TestChallengesAreGoodOnce(t *testing.T) {
	w := newWorld(t, worldtest.Config{Unlimited: true})
	ctx := t.Context()
	u, other, d := w.User("a@example.com", 1), w.User("b@example.com", 1), worldtest.NewDevice()
	cookie, answer := w.NewPasskey(u, d, "")
	signInCookie, _ := w.SignIns.BeginPasskeySignIn()
	for name, c := range map[string]struct {
		who    account.User
		cookie string
	}{
		"no cookie": {u, ""}, "a made-up cookie": {u, "AAAA"}, "the cookie of another user": {other, cookie},
		"the cookie of a sign-in": {u, signInCookie.Cookie},
	} {
		_, _, err := w.Codes.AddPasskey(ctx, actor(c.who), c.cookie, answer, "")
		if !errors.Is(err, factor.ErrNoChallenge) && !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	_, _, err := w.Codes.AddPasskey(ctx, actor(u), cookie, answer, "")
	w.Must(err)
	if _, _, err := w.Codes.AddPasskey(ctx, actor(u), cookie, answer, ""); !errors.Is(err, factor.ErrBadPasskey) && !errors.Is(err, factor.ErrNoChallenge) {
		t.Errorf("a second registration by one challenge: %v", err)
	}

	rapid.Check(t, func(r *rapid.T) {
		cookie, answer := w.ShowPasskey(d)
		otherBrowser, _ := w.ShowPasskey(d.Clone())
		steps := []struct {
			cookie string
			after  time.Duration
		}{}
		for range rapid.IntRange(1, 4).Draw(r, "tries") {
			steps = append(steps, struct {
				cookie string
				after  time.Duration
			}{
				rapid.SampledFrom([]string{cookie, otherBrowser, "", cookie[:31] + "A", cookie + "A"}).Draw(r, "cookie"),
				time.Duration(rapid.SampledFrom([]int{0, 1, 299, 300, 301}).Draw(r, "seconds")) * time.Second,
			})
		}
		begun, used := w.Now, false
		for _, s := range steps {
			w.Now = w.Now.Add(s.after)
			want := s.cookie == cookie && !used && w.Now.Before(begun.Add(factor.ChallengeLife))
			_, err := w.Codes.ProvePasskey(context.Background(), s.cookie, answer)
			if (err == nil) != want {
				r.Fatalf("cookie %q %v after the challenge, used %v: %v, want accepted %v", s.cookie, w.Now.Sub(begun), used, err, want)
			}
			if err != nil && !errors.Is(err, factor.ErrNoChallenge) && !errors.Is(err, factor.ErrBadPasskey) {
				r.Fatalf("refused by %v", err)
			}
			used = used || s.cookie == cookie && w.Now.Before(begun.Add(factor.ChallengeLife))
		}
	})
}

// A challenge of a new passkey ends with the sessions: with the password that proved it, for one.
func TestNewPasskeyEndsWithItsProof(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, d := w.User("a@example.com", 1), worldtest.NewDevice()
	cookie, answer := w.NewPasskey(u, d, "")
	_, err := w.DB.EndSessions(t.Context(), u.UID)
	w.Must(err)
	if _, _, err := w.Codes.AddPasskey(t.Context(), actor(u), cookie, answer, ""); !errors.Is(err, factor.ErrBadPasskey) {
		t.Errorf("after sessions ended: %v, want ErrBadPasskey", err)
	}
}

// Passkeys are off where no site is named.
func TestPasskeysAreOff(t *testing.T) {
	w := newWorld(t, worldtest.Config{NoPasskeys: true})
	u := w.User("a@example.com", 1)
	_, begin := w.SignIns.BeginPasskey(t.Context(), actor(u), password, "")
	_, signIn := w.SignIns.BeginPasskeySignIn()
	_, _, add := w.Codes.AddPasskey(t.Context(), actor(u), "", nil, "")
	_, prove := w.Codes.ProvePasskey(t.Context(), "", nil)
	for _, err := range []error{begin, signIn, add, prove} {
		if !errors.Is(err, factor.ErrNoPasskeys) {
			t.Errorf("got %v, want ErrNoPasskeys", err)
		}
	}
}

// FuzzPasskeyAnswers: whatever a browser answers is refused as a bad passkey, and nothing else.
func FuzzPasskeyAnswers(f *testing.F) {
	w := newWorld(f, worldtest.Config{Unlimited: true})
	u, d := w.User("a@example.com", 1), worldtest.NewDevice()
	_, created := w.NewPasskey(u, d, "")
	_, shown := w.ShowPasskey(d)
	for _, seed := range []string{"", "{}", "null", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`, string(created), string(shown)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		r, err := w.SignIns.BeginPasskeySignIn()
		expect.OK(t, err)
		if _, err := w.Codes.ProvePasskey(t.Context(), r.Cookie, answer); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("sign-in: %v, want ErrBadPasskey", err)
		}
		c, err := w.SignIns.BeginPasskey(t.Context(), actor(u), password, "")
		expect.OK(t, err)
		if _, _, err := w.Codes.AddPasskey(t.Context(), actor(u), c.Cookie, answer, ""); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("registration: %v, want ErrBadPasskey", err)
		}
	})
}
