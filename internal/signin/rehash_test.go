package signin_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/secret"
	"barong/internal/signin"
)

// fullAfter is a pool that has become full when there is something to hash.
type fullAfter struct{ *secret.Hasher }

func (fullAfter) Hash(context.Context, string) (string, error) { return "", secret.ErrBusy }

// An imported user's bcrypt digest gives way to argon2id at the first sign-in that succeeds
// altogether, on a pool with one worker and no queue.
func TestSignInReplacesAnImportedDigest(t *testing.T) {
	made, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Replace(string(made), "$2a$", "$2y$", 1)
	for name, c := range map[string]struct {
		hasher          account.Hasher
		state, password string
		otp             bool
		want            error
		replaced        bool
	}{
		"a good sign-in":             {secret.NewHasher(1, 0), "active", password, false, nil, true},
		"of a pending user":          {secret.NewHasher(1, 0), "pending", password, false, nil, true},
		"a wrong password":           {secret.NewHasher(1, 0), "active", "wrong", false, signin.ErrBadCredentials, false},
		"a banned user":              {secret.NewHasher(1, 0), "banned", password, false, signin.ErrBanned, false},
		"without the second factor":  {secret.NewHasher(1, 0), "active", password, true, factor.ErrMissingOTP, false},
		"a pool that is full by now": {fullAfter{secret.NewHasher(1, 0)}, "active", password, false, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{})
			u := w.User("imported@example.com", 1)
			w.Put(u.UID, func(u *account.User) { u.PasswordDigest, u.State, u.OTP = digest, c.state, c.otp })
			svc := worldtest.Open(worldtest.Config{FailureFloor: 1}, w.DB, c.hasher, new(limit.Memory), nil)
			for range 2 { // the new digest works, too
				_, err := svc.SignIns.SignIn(t.Context(), signin.SignIn{Email: u.Email, Password: c.password, Client: browser})
				if !errors.Is(err, c.want) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				got := w.Reload(u.UID).PasswordDigest
				if c.replaced != strings.HasPrefix(got, "$argon2id$v=19$m=19456,t=2,p=1$") || !c.replaced && got != digest {
					t.Errorf("digest %.32s…, want it replaced: %v", got, c.replaced)
				}
			}
		})
	}
}

// A stored digest that nothing can read refuses like a wrong password, and its owner's
// activities say why: an error would show that there is such an account.
func TestAnUnreadableDigestLooksLikeAWrongPassword(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	w.Put(u.UID, func(u *account.User) { u.PasswordDigest = "$7$nonsense" })
	svc := worldtest.Open(worldtest.Config{FailureFloor: 1}, w.DB, secret.NewHasher(1, 1), new(limit.Memory),
		func() time.Time { return w.Now })
	_, err := svc.SignIns.SignIn(t.Context(), signin.SignIn{Email: u.Email, Password: password, Client: browser})
	if !errors.Is(err, signin.ErrBadCredentials) {
		t.Errorf("got %v, want ErrBadCredentials", err)
	}
	got := w.Activities(u.UID)
	if len(got) != 1 || !strings.Contains(got[0], "unreadable") {
		t.Errorf("activities %q, want one that says why", got)
	}
}
