package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/store"
)

// The rules of new keys (AZ-270…275, W-R10).
func TestCreateKey(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, pending := w.User("a@example.com", 1), w.User("p@example.com", 0)
	other := w.User("o@example.com", 1)
	mine, theirs := w.ServiceAccount(u, "SI0000000001"), w.ServiceAccount(other, "SI0000000002")
	taken := w.Key(other.UID, account.KindUser)
	for name, c := range map[string]struct {
		actor account.User
		key   apikey.Input
		want  []string
	}{
		"no algorithm":         {u, apikey.Input{}, []string{"kid.blank", "algorithm.inclusion"}},
		"another algorithm":    {u, apikey.Input{Algorithm: "kek"}, []string{"kid.blank", "algorithm.inclusion"}},
		"a kid too short":      {u, apikey.Input{Algorithm: "HS256", Kid: "1234567"}, []string{"kid.invalid"}},
		"a kid with signs":     {u, apikey.Input{Algorithm: "HS256", Kid: "1234567/"}, []string{"kid.invalid"}},
		"a kid with a newline": {u, apikey.Input{Algorithm: "HS256", Kid: "12345678\n"}, []string{"kid.invalid"}},
		"somebody's kid":       {u, apikey.Input{Algorithm: "HS256", Kid: taken}, []string{"kid.taken"}},
		"a pending holder":     {pending, apikey.Input{Algorithm: "HS256"}, []string{"key_holder_account.invalid"}},
		"a long scope":         {u, apikey.Input{Algorithm: "HS256", Scope: []string{strings.Repeat("s", 256)}}, []string{"scope.too_long"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Keys.CreateKey(t.Context(), actor(c.actor), w.code(c.actor), apikey.Holder{}, c.key)
			if d := cmp.Diff(c.want, tokens(err)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	for name, c := range map[string]struct {
		holder apikey.Holder
		want   error
	}{
		"the own account":                 {apikey.Holder{}, nil},
		"a service account of one's own":  {apikey.OfServiceAccount(mine.UID), nil},
		"somebody else's service account": {apikey.OfServiceAccount(theirs.UID), account.ErrNoServiceAccount},
		"a service account that is not":   {apikey.OfServiceAccount("SI9"), account.ErrNoServiceAccount},
		"a service account without a uid": {apikey.OfServiceAccount(""), account.ErrNoServiceAccount},
		"a user as a service account":     {apikey.OfServiceAccount(u.UID), account.ErrNoServiceAccount},
	} {
		k, err := w.Keys.CreateKey(t.Context(), actor(u), w.code(u), c.holder, apikey.Input{
			Algorithm: "HS256", Scope: []string{"trade", " sell"},
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil {
			continue
		}
		if len(k.Kid) != 16 || len(k.Secret) != 32 || k.State != "active" || strings.Contains(fmt.Sprintf("%v%#v", k, k), k.Secret) {
			t.Errorf("made %v, state %s, secret of %d", k, k.State, len(k.Secret))
		}
		r, err := w.DB.KeyRecord(t.Context(), k.Kid)
		if err != nil || string(r.Secret) != k.Secret {
			t.Errorf("stored %v (%v), want the secret told", r, err)
		}
	}
	k, err := w.Keys.CreateKey(t.Context(), actor(u), w.code(u), apikey.Holder{}, apikey.Input{Algorithm: "HS256", Kid: "my-own_KID"})
	if err != nil || k.Kid != "my-own_KID" {
		t.Errorf("own kid: %q (%v)", k.Kid, err)
	}
}

func TestKeysPerHolderAreBounded(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	for range 20 {
		w.Key(u.UID, account.KindUser)
	}
	_, err := w.Keys.CreateKey(t.Context(), actor(u), w.code(u), apikey.Holder{}, apikey.Input{Algorithm: "HS256"})
	if d := cmp.Diff([]string{"api_key.limit_reached"}, tokens(err)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	keys, total, err := w.Keys.ListKeys(t.Context(), actor(u), apikey.Holder{}, apikey.Query{OrderBy: "id", Limit: 5})
	if err != nil || len(keys) != 5 || total != 20 {
		t.Errorf("listed %d of %d (%v), want 5 of 20", len(keys), total, err)
	}
}

// T-KEY-6, T-KEY-7, W-R10.
func TestUpdateAndDeleteKey(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	u, other := w.User("a@example.com", 1), w.User("o@example.com", 1)
	kid := w.Key(u.UID, account.KindUser)
	update := func(u account.User, p apikey.Patch) (apikey.Key, error) {
		return w.Keys.UpdateKey(ctx, actor(u), w.code(u), apikey.Holder{}, kid, p)
	}
	k, err := update(u, apikey.Patch{State: ptr("inactive")})
	if err != nil || k.State != "inactive" || !cmp.Equal(k.Scope, []string{"trade"}) || k.Secret != "" {
		t.Errorf("got %s %v (%v), want inactive and the scope kept", k.State, k.Scope, err)
	}
	k, err = update(u, apikey.Patch{Scope: &[]string{"sell"}})
	if err != nil || k.State != "inactive" || !cmp.Equal(k.Scope, []string{"sell"}) {
		t.Errorf("got %s %v (%v), want the scope changed only", k.State, k.Scope, err)
	}
	if _, err = update(u, apikey.Patch{State: ptr("active")}); err != nil {
		t.Errorf("activate again: %v", err)
	}
	k, err = update(u, apikey.Patch{State: ptr("disabled")}) // the public front end's word (D30)
	if err != nil || k.State != "disabled" {
		t.Errorf("got %s (%v), want disabled", k.State, err)
	}
	if _, err = update(u, apikey.Patch{State: ptr("active")}); err != nil {
		t.Errorf("activate again: %v", err)
	}
	if _, err = update(u, apikey.Patch{State: ptr("banned")}); !cmp.Equal(tokens(err), []string{"state.inclusion"}) {
		t.Errorf("another state: %v, want state.inclusion", err)
	}
	if _, err = update(other, apikey.Patch{State: ptr("inactive")}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("somebody else's key: %v, want ErrNotFound", err)
	}
	w.Label(u.UID, "ban", "fraud", account.ScopePrivate)
	if _, err = update(u, apikey.Patch{State: ptr("active")}); !cmp.Equal(tokens(err), []string{"state.invalid"}) {
		t.Errorf("activate for a banned holder: %v, want state.invalid", err)
	}
	if _, err = update(u, apikey.Patch{Scope: &[]string{"buy"}}); err != nil {
		t.Errorf("scope of an inactive key of a banned holder: %v", err)
	}
	if err := w.Keys.DeleteKey(ctx, actor(other), w.code(other), apikey.Holder{}, kid); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("delete somebody else's key: %v, want ErrNotFound", err)
	}
	w.Must(w.Keys.DeleteKey(ctx, actor(u), w.code(u), apikey.Holder{}, kid))
	if err := w.Keys.DeleteKey(ctx, actor(u), w.code(u), apikey.Holder{}, kid); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("delete twice: %v, want ErrNotFound", err)
	}
	if d := cmp.Diff([]string{
		`account api key update succeed {"kid":"` + kid + `"}`, `account api key update succeed {"kid":"` + kid + `"}`,
		`account api key update succeed {"kid":"` + kid + `"}`, `account api key update succeed {"kid":"` + kid + `"}`,
		`account api key update succeed {"kid":"` + kid + `"}`, `account api key update succeed {"kid":"` + kid + `"}`,
		`account api key delete succeed {"kid":"` + kid + `"}`,
	}, aboutKeys(w.Activities(u.UID))); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
}

// sealless is a Tx that cannot seal.
type sealless struct{ apikey.Tx }

func (sealless) AddAPIKey(context.Context, *apikey.Key) error { return account.ErrSeal }

// AZ-283.
func TestCreateKeyWithoutASealStoresNothing(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	w.Keys = apikey.NewService(apikey.Config{}, apikey.Parts{
		Accounts: w.Accounts, Codes: w.Codes, Rows: w.DB, Now: func() time.Time { return w.Now },
		Update: func(ctx context.Context, f func(apikey.Tx) error) error {
			return store.Update[apikey.Tx](w.DB)(ctx, func(tx apikey.Tx) error { return f(sealless{tx}) })
		},
	})
	if _, err := w.Keys.CreateKey(t.Context(), actor(u), w.code(u), apikey.Holder{}, apikey.Input{Algorithm: "HS256"}); !errors.Is(err, apikey.ErrCouldNotSaveSecret) {
		t.Errorf("err = %v, want ErrCouldNotSaveSecret", err)
	}
	if len(aboutKeys(w.Activities(u.UID))) != 0 {
		t.Errorf("activities %v, want none", w.Activities(u.UID))
	}
}

// aboutKeys leaves out what else was done.
func aboutKeys(all []string) []string {
	return slices.DeleteFunc(all, func(a string) bool { return !strings.HasPrefix(a, "account api key") })
}

// No change of keys goes without a code, and none of a stranger's key with one.
func TestKeysNeedACode(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	u := w.User("a@example.com", 1)
	a := w.ServiceAccount(u, "SI0000000001")
	kid := w.Key(u.UID, account.KindUser)
	robot := w.Key(a.UID, account.KindServiceAccount)
	writes := func(code string) map[string]error {
		_, created := w.Keys.CreateKey(ctx, actor(u), code, apikey.Holder{}, apikey.Input{Algorithm: "HS256"})
		_, updated := w.Keys.UpdateKey(ctx, actor(u), code, apikey.Holder{}, kid, apikey.Patch{State: ptr("inactive")})
		of := apikey.OfServiceAccount(a.UID)
		_, theirs := w.Keys.UpdateKey(ctx, actor(u), code, of, robot, apikey.Patch{State: ptr("inactive")})
		return map[string]error{
			"create": created, "update": updated, "delete": w.Keys.DeleteKey(ctx, actor(u), code, apikey.Holder{}, kid),
			"update a service account's": theirs, "delete a service account's": w.Keys.DeleteKey(ctx, actor(u), code, of, robot),
		}
	}
	refused := func(code string, want error) {
		t.Helper()
		for name, err := range writes(code) {
			if !errors.Is(err, want) {
				t.Errorf("%s with the code %q: %v, want %v", name, code, err, want)
			}
		}
	}
	refused("123456", factor.ErrOTPNotEnabled)
	used := w.code(u)
	w.Must(w.Codes.VerifyOTP(ctx, actor(u), used))
	refused(" ", factor.ErrMissingOTP)
	refused(used, factor.ErrOTPReplay)
	refused("12345x", factor.ErrInvalidOTP) // five wrong ones
	refused("12345x", limit.ErrTooMany)
	if w.KeyState(u.UID, kid) != "active" || w.KeyState(a.UID, robot) != "active" {
		t.Error("a key was changed without a code")
	}
}
