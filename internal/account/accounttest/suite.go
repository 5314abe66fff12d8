// Package accounttest is the test suite of every store of accounts.
package accounttest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"barong/internal/account"
	"barong/internal/directory"
	"barong/internal/session"
)

// A Store is the store under test.
type Store interface {
	account.Tx
	directory.Source
	session.Ledger
	Update(ctx context.Context, f func(account.Tx) error) error
}

// TestStore tests a Store; open returns an empty one, its times to the microsecond.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"user: a round trip keeps every field":                           userRoundTrip,
		"user: absent optional fields stay absent":                       userAbsentFields,
		"user: what is not there is ErrNotFound":                         userNotFound,
		"user: uid, e-mail and username are unique":                      userTaken,
		"user: the e-mail is found and unique whatever its case":         userEmailFolds,
		"user: a write keeps every field and raises counters":            userPut,
		"user: only a change of the principal raises its version":        userVersion,
		"user: a renewed session is noted until all sessions end":        renewSession,
		"user: a session stands until it has ended in any way":           sessionStands,
		"user: a stale copy does not lower the session generation":       userGenerationNeverFalls,
		"user: another's e-mail or username cannot be taken later":       userPutTaken,
		"user: a deleted one leaves e-mail and username to others":       userDeleted,
		"user: the referrer must exist":                                  userReferrer,
		"user: counting by role and state":                               userCount,
		"service account: a round trip keeps every field":                serviceAccountRoundTrip,
		"service account: no owner is no owner":                          serviceAccountOrphan,
		"service account: uid and e-mail are unique also over users":     serviceAccountTaken,
		"service account: a write keeps every field and raises counters": serviceAccountPut,
		"service account: an owner's are listed by row":                  serviceAccountsOf,
		"service account: the e-mail is found whatever its case":         serviceAccountByEmail,
		"service account: a page is cut and counted, of all or an owner": serviceAccountPage,
		"user: several are loaded by uid":                                usersByUID,
		"principal: a user's":                                            principalOfUser,
		"principal: a service account's":                                 principalOfServiceAccount,
		"principal: an unknown uid is ErrNotFound":                       principalUnknown,
		"label: a round trip keeps every field":                          labelRoundTrip,
		"label: one key in two scopes is two labels":                     labelScopes,
		"label: a second write updates in place":                         labelUpdate,
		"label: what is not there is ErrNotFound":                        labelNotFound,
		"label: a user's are listed by row, another's are not":           labelList,
		"label: users that have one are listed and counted once":         labelHolders,
		"label: private ones are counted by key and value":               labelCounts,
		"level: a round trip keeps every field, by number":               levelRoundTrip,
		"level: key and value are unique":                                levelTaken,
		"role: one that no permission names does not exist":              roleUnknown,
		"sessions: whether there was one is read from activities":        signedInBefore,
		"sessions: ending raises the generation":                         endSessions,
		"request: a round trip keeps every field":                        requestRoundTrip,
		"request: a page is cut and counted, by state, asker and action": requestPage,
		"request: an asker has a few open ones":                          requestsOfOne,
		"request: of those who close one, one does":                      requestOnce,
		"request: one whose time is over only lapses":                    requestOverdue,
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

// Must fails the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantErr fails the test unless err is want.
func WantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// Equal fails the test unless the two are equal.
func Equal(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Fatalf("want (-), got (+):\n%s", d)
	}
}

// NewUser is a user with every field set; n makes its unique ones.
func NewUser(n string) account.User {
	return account.User{
		UID: "ID00000000" + n, Email: "user" + n + "@example.com", Username: new("user" + n),
		PasswordDigest: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$" + n, Role: "trader", Level: 2,
		OTP: true, State: account.StateActive, AdminState: account.StateLocked, Unproved: true,
		Data: new(`{"language":"EN"}`), SessionGeneration: 4,
	}
}

// AddUser adds the user of NewUser.
func AddUser(t testing.TB, s account.Tx, n string) account.User {
	t.Helper()
	u := NewUser(n)
	Must(t, s.AddUser(context.Background(), &u))
	return u
}

// AddServiceAccount adds a service account with every field set; n makes its unique ones.
func AddServiceAccount(t testing.TB, s account.Tx, n, owner string) account.ServiceAccount {
	t.Helper()
	a := account.ServiceAccount{
		UID: "SI00000000" + n, OwnerUID: owner, Email: "service" + n + "@example.com",
		Role: account.RoleServiceAccount, Level: 3, State: account.StateActive,
	}
	Must(t, s.AddServiceAccount(context.Background(), &a))
	return a
}

// Recent fails the test unless at is a time as stores keep it: UTC, whole microseconds, not zero.
func Recent(t testing.TB, at time.Time) {
	t.Helper()
	if at.IsZero() || at.Location() != time.UTC || !at.Equal(at.Truncate(time.Microsecond)) {
		t.Fatalf("time %v: want UTC, whole microseconds, not zero", at)
	}
}
