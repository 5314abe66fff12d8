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
		"no algorithm":            {u, apikey.Input{}, []string{"kid.blank", "algorithm.inclusion"}},
		"another algorithm":       {u, apikey.Input{Algorithm: "kek"}, []string{"kid.blank", "algorithm.inclusion"}},
		"a kid too short":         {u, apikey.Input{Algorithm: "HS256", Kid: "1234567"}, []string{"kid.invalid"}},
		"a kid with signs":        {u, apikey.Input{Algorithm: "HS256", Kid: "1234567/"}, []string{"kid.invalid"}},
		"a kid with a newline":    {u, apikey.Input{Algorithm: "HS256", Kid: "12345678\n"}, []string{"kid.invalid"}},
		"somebody's kid":          {u, apikey.Input{Algorithm: "HS256", Kid: taken}, []string{"kid.taken"}},
		"a pending holder":        {pending, apikey.Input{Algorithm: "HS256"}, []string{"key_holder_account.invalid"}},
		"a scope that is none":    {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{Scope: &[]string{"trade", "sell"}}}, []string{"scope.unknown"}},
		"a blank scope":           {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{Scope: &[]string{"trade", ""}}}, []string{"scope.unknown"}},
		"a scope in another case": {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{Scope: &[]string{"Trade"}}}, []string{"scope.unknown"}},
		"a network that is none":  {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{Networks: &[]string{"x"}}}, []string{"ip_whitelist.invalid"}},
		"the whole world":         {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{Networks: &[]string{"::/0"}}}, []string{"ip_whitelist.too_wide"}},
		"a negative life":         {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{ExpiresIn: new(-1)}}, []string{"expires_in.invalid"}},
		"a life of centuries":     {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{ExpiresIn: new(1 << 40)}}, []string{"expires_in.invalid"}},
		"a long scope":            {u, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{Scope: &[]string{strings.Repeat("s", 256)}}}, []string{"scope.too_long"}},
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
			Algorithm: "HS256", Bounds: apikey.Bounds{Scope: &[]string{"trade", " read", "trade"}},
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil {
			continue
		}
		if !cmp.Equal(k.Scope, []string{"trade", "read"}) || !k.ScopeEnforced {
			t.Errorf("scope %q, enforced %v", k.Scope, k.ScopeEnforced)
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
	if err != nil || k.State != "inactive" || !cmp.Equal(k.Scope, []string{"trade"}) || k.ScopeEnforced || k.Secret != "" {
		t.Errorf("got %s %v (%v), want inactive and the scope kept", k.State, k.Scope, err)
	}
	k, err = update(u, apikey.Patch{Bounds: apikey.Bounds{Scope: &[]string{"read"}}})
	if err != nil || k.State != "inactive" || !cmp.Equal(k.Scope, []string{"read"}) || !k.ScopeEnforced {
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
	if _, err = update(u, apikey.Patch{Bounds: apikey.Bounds{Scope: &[]string{"account"}}}); err != nil {
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

// Networks and expiry are set, changed and lifted one by one, and a decision has them.
func TestBoundsOfAKey(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	u := w.User("a@example.com", 1)
	code := w.code(u)
	k, err := w.Keys.CreateKey(ctx, actor(u), code, apikey.Holder{}, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{
		Networks: &[]string{"192.0.2.7/24, ::ffff:198.51.100.1", "2001:db8::/32"}, ExpiresIn: new(3600),
	}})
	w.Must(err)
	networks, ends := "192.0.2.0/24 198.51.100.1/32 2001:db8::/32", w.Now.Add(time.Hour)
	stored := func() {
		t.Helper()
		row, err := w.DB.APIKey(ctx, u.UID, k.Kid)
		w.Must(err)
		record, err := w.DB.KeyRecord(ctx, k.Kid)
		w.Must(err)
		for _, got := range []apikey.Record{{Networks: k.Networks, ExpiresAt: k.ExpiresAt}, {Networks: row.Networks, ExpiresAt: row.ExpiresAt}, record} {
			if text(got.Networks) != networks || !got.ExpiresAt.Equal(ends) {
				t.Fatalf("got %q until %v, want %q until %v", text(got.Networks), got.ExpiresAt, networks, ends)
			}
		}
	}
	update := func(p apikey.Patch) {
		t.Helper()
		k, err = w.Keys.UpdateKey(ctx, actor(u), w.code(u), apikey.Holder{}, k.Kid, p)
		w.Must(err)
		stored()
	}
	stored()
	update(apikey.Patch{State: new(apikey.Inactive)})
	networks = "10.0.0.0/8"
	update(apikey.Patch{Bounds: apikey.Bounds{Networks: &[]string{"10.0.0.0/8"}}})
	w.Now = w.Now.Add(time.Minute)
	code = w.code(u) // moves the clock
	ends = w.Now.Add(time.Second)
	k, err = w.Keys.UpdateKey(ctx, actor(u), code, apikey.Holder{}, k.Kid, apikey.Patch{Bounds: apikey.Bounds{ExpiresIn: new(1)}})
	w.Must(err)
	stored()
	ends = time.Time{}
	update(apikey.Patch{Bounds: apikey.Bounds{ExpiresIn: new(0)}})
	networks = ""
	update(apikey.Patch{Bounds: apikey.Bounds{Networks: &[]string{""}}})
}

// What a key's scope demands of its networks and of its life.
func TestRulesForScopes(t *testing.T) {
	const days = 24 * 60 * 60
	list := func(texts ...string) *[]string { return &texts }
	shipped := apikey.Config{ListedScopes: []string{"withdraw"}, ShortScopes: []string{"trade", "withdraw"}, ShortLife: 90 * days * time.Second}
	strict := shipped
	strict.ListedScopes, strict.ShortScopes = []string{"withdraw", "*"}, []string{"read", "*"}
	for name, c := range map[string]struct {
		rules *apikey.Config // nil is as shipped
		in    apikey.Bounds
		want  []string
		days  int // 0 is for ever
	}{
		"reading is free":                     {in: apikey.Bounds{Scope: list("read", "account")}},
		"no scope is free":                    {},
		"trading from anywhere":               {in: apikey.Bounds{Scope: list("read", "trade")}, days: 90},
		"for ever, if it may be":              {in: apikey.Bounds{Scope: list("trade"), ExpiresIn: new(0)}, days: 90},
		"for less":                            {in: apikey.Bounds{Scope: list("trade"), ExpiresIn: new(7 * days)}, days: 7},
		"for as long":                         {in: apikey.Bounds{Scope: list("trade"), ExpiresIn: new(90 * days)}, days: 90},
		"for longer":                          {in: apikey.Bounds{Scope: list("trade"), ExpiresIn: new(90*days + 1)}, want: []string{"expires_in.too_long"}},
		"trading from somewhere":              {in: apikey.Bounds{Scope: list("trade"), Networks: list("192.0.2.1")}},
		"and for long":                        {in: apikey.Bounds{Scope: list("trade"), Networks: list("192.0.2.1"), ExpiresIn: new(400 * days)}, days: 400},
		"withdrawing from anywhere":           {in: apikey.Bounds{Scope: list("trade", "withdraw")}, want: []string{"ip_whitelist.required"}},
		"withdrawing from no list":            {in: apikey.Bounds{Scope: list("withdraw"), Networks: list("")}, want: []string{"ip_whitelist.required"}},
		"withdrawing from somewhere":          {in: apikey.Bounds{Scope: list("withdraw"), Networks: list("192.0.2.1")}},
		"a wrong list is told as such":        {in: apikey.Bounds{Scope: list("withdraw"), Networks: list("x")}, want: []string{"ip_whitelist.invalid"}},
		"both":                                {in: apikey.Bounds{Scope: list("withdraw"), ExpiresIn: new(400 * days)}, want: []string{"ip_whitelist.required", "expires_in.too_long"}},
		"no rules":                            {rules: &apikey.Config{}, in: apikey.Bounds{Scope: list("withdraw", "trade")}},
		"no bound of life":                    {rules: &apikey.Config{ShortScopes: []string{"trade"}}, in: apikey.Bounds{Scope: list("trade"), ExpiresIn: new(400 * days)}, days: 400},
		"no scope is all, under strict rules": {rules: &strict, want: []string{"ip_whitelist.required"}},
		"and lives short":                     {rules: &apikey.Config{ShortScopes: []string{"*"}, ShortLife: time.Hour * 24}, days: 1},
		"a scope that is not listed there":    {rules: &strict, in: apikey.Bounds{Scope: list("trade")}},
		"one that is":                         {rules: &strict, in: apikey.Bounds{Scope: list("read")}, days: 90},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{Keys: c.rules})
			u := w.User("a@example.com", 1)
			code := w.code(u)
			k, err := w.Keys.CreateKey(t.Context(), actor(u), code, apikey.Holder{}, apikey.Input{Algorithm: "HS256", Bounds: c.in})
			if d := cmp.Diff(c.want, tokens(err)); d != "" {
				t.Fatalf("(-want +got):\n%s", d)
			}
			var ends time.Time
			if c.days > 0 {
				ends = w.Now.Add(time.Duration(c.days) * 24 * time.Hour)
			}
			if !k.ExpiresAt.Equal(ends) {
				t.Errorf("until %v, want %v", k.ExpiresAt, ends)
			}
		})
	}
}

// A change must leave the key within the rules; one that touches none of its bounds may be made
// even if it is outside.
func TestRulesForScopesHoldForChanges(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	code := w.code(u)
	k, err := w.Keys.CreateKey(t.Context(), actor(u), code, apikey.Holder{}, apikey.Input{Algorithm: "HS256", Bounds: apikey.Bounds{
		Scope: &[]string{"withdraw"}, Networks: &[]string{"192.0.2.1"},
	}})
	w.Must(err)
	update := func(p apikey.Patch, want ...string) {
		t.Helper()
		code := w.code(u)
		got, err := w.Keys.UpdateKey(t.Context(), actor(u), code, apikey.Holder{}, k.Kid, p)
		if d := cmp.Diff(want, tokens(err)); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
		if err == nil {
			k = got
		}
	}
	short := func() time.Time { return w.Now.Add(90 * 24 * time.Hour) }
	update(apikey.Patch{Bounds: apikey.Bounds{Networks: &[]string{""}}}, "ip_whitelist.required")
	update(apikey.Patch{Bounds: apikey.Bounds{Scope: &[]string{"trade"}}})
	if !k.ExpiresAt.IsZero() {
		t.Errorf("with a list it ends at %v", k.ExpiresAt)
	}
	update(apikey.Patch{Bounds: apikey.Bounds{Networks: &[]string{""}}})
	if !k.ExpiresAt.Equal(short()) {
		t.Errorf("without a list it ends at %v, want %v", k.ExpiresAt, short())
	}
	ends := k.ExpiresAt
	w.Now = w.Now.Add(24 * time.Hour)
	update(apikey.Patch{State: new(apikey.Inactive)})
	update(apikey.Patch{Bounds: apikey.Bounds{Scope: &[]string{"trade", "read"}}})
	if !k.ExpiresAt.Equal(ends) {
		t.Errorf("a change of another kind moved its end to %v from %v", k.ExpiresAt, ends)
	}
	update(apikey.Patch{Bounds: apikey.Bounds{ExpiresIn: new(0)}})
	if !k.ExpiresAt.Equal(short()) {
		t.Errorf("renewed it ends at %v, want %v", k.ExpiresAt, short())
	}
	old := w.Key(u.UID, account.KindUser) // with scope trade, no list and no end: of before the rules
	k.Kid = old
	update(apikey.Patch{State: new(apikey.Disabled)})
	update(apikey.Patch{State: new(apikey.Active)})
	if !k.ExpiresAt.IsZero() {
		t.Errorf("an old key that was switched off and on ends at %v", k.ExpiresAt)
	}
	update(apikey.Patch{Bounds: apikey.Bounds{ExpiresIn: new(0)}})
	if !k.ExpiresAt.Equal(short()) {
		t.Errorf("an old key whose life was set ends at %v, want %v", k.ExpiresAt, short())
	}
}

func TestExpiryIsTheFirstMomentWithoutTheKey(t *testing.T) {
	at := time.Unix(1700000000, 0)
	for now, want := range map[time.Time]bool{at.Add(-1): false, at: true, at.Add(time.Hour): true} {
		if k := (apikey.Record{ExpiresAt: at}); k.Expired(now) != want {
			t.Errorf("%v: expired %v, want %v", now.Sub(at), !want, want)
		}
	}
	if (&apikey.Record{}).Expired(at) {
		t.Error("a key without an expiry has expired")
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
