// Package accounttest is the test suite of every implementation of account.Store.
package accounttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
)

// TestStore tests an account.Store; open returns an empty one, its times to the microsecond.
func TestStore(t *testing.T, open func(testing.TB) account.Store) {
	for name, test := range map[string]func(*testing.T, account.Store){
		"user: a round trip keeps every field":                           userRoundTrip,
		"user: absent optional fields stay absent":                       userAbsentFields,
		"user: what is not there is ErrNotFound":                         userNotFound,
		"user: uid, e-mail and username are unique":                      userTaken,
		"user: the e-mail is found and unique whatever its case":         userEmailFolds,
		"user: a write keeps every field and raises counters":            userPut,
		"user: only a change of the principal raises its version":        userVersion,
		"user: a renewed session is noted until all sessions end":        renewSession,
		"user: a stale copy does not lower the session generation":       userGenerationNeverFalls,
		"user: another's e-mail or username cannot be taken later":       userPutTaken,
		"user: the referrer must exist":                                  userReferrer,
		"user: counting by role and state":                               userCount,
		"service account: a round trip keeps every field":                serviceAccountRoundTrip,
		"service account: no owner is no owner":                          serviceAccountOrphan,
		"service account: uid and e-mail are unique also over users":     serviceAccountTaken,
		"service account: a write keeps every field and raises counters": serviceAccountPut,
		"service account: an owner's are listed by row":                  serviceAccountsOf,
		"principal: a user's":                                            principalOfUser,
		"principal: a service account's":                                 principalOfServiceAccount,
		"principal: an unknown uid is ErrNotFound":                       principalUnknown,
		"label: a round trip keeps every field":                          labelRoundTrip,
		"label: one key in two scopes is two labels":                     labelScopes,
		"label: a second write updates in place":                         labelUpdate,
		"label: what is not there is ErrNotFound":                        labelNotFound,
		"label: a user's are listed by row, another's are not":           labelList,
		"level: a round trip keeps every field, by number":               levelRoundTrip,
		"level: key and value are unique":                                levelTaken,
		"api key: a round trip keeps every field and the secret":         keyRoundTrip,
		"api key: lists and lookups never carry the secret":              keyListHidesSecret,
		"api key: of a service account":                                  keyOfServiceAccount,
		"api key: kid is unique, the holder must exist":                  keyTaken,
		"api key: a write changes scope and state only":                  keyPut,
		"api key: another holder's is not found":                         keyOfAnother,
		"api key: pages in every order":                                  keyPages,
		"api key: an unknown order is refused":                           keyUnknownOrder,
		"api key: deactivating takes the service accounts' too (AZ-286)": keyDeactivate,
		"totp: a round trip, a replacement and a removal":                totpRoundTrip,
		"totp: of two equal codes one wins":                              totpRace,
		"mail token: a round trip keeps every field":                     mailTokenRoundTrip,
		"mail token: of two uses one wins, none after its life":          mailTokenUse,
		"mail token: only the newest of a user and purpose are kept":     mailTokenKeep,
		"mail token: a user's are removed by purpose or all":             mailTokenDelete,
		"verification: a round trip keeps every field":                   kycRoundTrip,
		"verification: the newest of a user and kind is told":            kycNewest,
		"verification: finishing sets status and time of one":            kycFinish,
		"verification: the id is unique, the user and kind must exist":   kycTaken,
		"verification: what is not there is ErrNotFound":                 kycNotFound,
		"verification: of two that finish it one is first":               kycRace,
		"role: one that no permission names does not exist":              roleUnknown,
		"sessions: whether there was one is read from activities":        signedInBefore,
		"sessions: ending raises the generation":                         endSessions,
		"update: an error undoes all of it and comes back as it is":      updateRollsBack,
		"update: a panic undoes all of it":                               updatePanics,
		"update: nobody else sees rows before the commit":                updateIsolated,
		"update: sees its own writes":                                    updateSeesItself,
		"update: goes on after ErrTaken and ErrNotFound":                 updateGoesOn,
		"update: of two writers of one e-mail one wins":                  updateRace,
		"update: concurrent read-modify-writes all count":                updateCounts,
		"update: a context that has ended writes nothing":                updateCancelled,
		"row ids: a removed row's id is not used again":                  idsNotReused,
		"time: kept in UTC to the microsecond":                           timePrecision,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func equal(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("want (-), got (+):\n%s", d)
	}
}

// newUser is a user with every field set; n makes its unique ones.
func newUser(n string) account.User {
	return account.User{
		UID: "ID00000000" + n, Email: "user" + n + "@example.com", Username: new("user" + n),
		PasswordDigest: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$" + n, Role: "trader", Level: 2,
		OTP: true, State: account.StateActive, AdminState: account.StateLocked, Unproved: true,
		Data: new(`{"language":"EN"}`), SessionGeneration: 4,
	}
}

func addUser(t testing.TB, s account.Tx, n string) account.User {
	t.Helper()
	u := newUser(n)
	must(t, s.AddUser(context.Background(), &u))
	return u
}

func addServiceAccount(t testing.TB, s account.Tx, n, owner string) account.ServiceAccount {
	t.Helper()
	a := account.ServiceAccount{
		UID: "SI00000000" + n, OwnerUID: owner, Email: "service" + n + "@example.com",
		Role: account.RoleServiceAccount, Level: 3, State: account.StateActive,
	}
	must(t, s.AddServiceAccount(context.Background(), &a))
	return a
}

func addKey(t testing.TB, s account.Tx, kid, holder string) account.APIKey {
	t.Helper()
	k := account.APIKey{
		Kid: kid, Algorithm: account.AlgorithmHS256, Scope: []string{"trade", "read"},
		State: account.KeyActive, HolderUID: holder, Secret: "0123456789abcdef" + kid,
	}
	must(t, s.AddAPIKey(context.Background(), &k))
	return k
}

func recent(t testing.TB, at time.Time) {
	t.Helper()
	if at.IsZero() || at.Location() != time.UTC || !at.Equal(at.Truncate(time.Microsecond)) {
		t.Fatalf("time %v: want UTC, whole microseconds, not zero", at)
	}
}
