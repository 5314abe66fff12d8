package store_test

import (
	"context"
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/apikey"
	"barong/internal/apikey/apikeytest"
	"barong/internal/audit"
	"barong/internal/audit/audittest"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/factor/factortest"
	"barong/internal/feed/feedtest"
	"barong/internal/limit"
	"barong/internal/limit/limittest"
	"barong/internal/peer/peertest"
	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/session"
	"barong/internal/session/sessiontest"
	"barong/internal/signin"
	"barong/internal/signin/signintest"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/internal/token/tokentest"
	"barong/policy/policytest"
)

// part is a database whose transactions are of T.
type part[T any] struct{ *store.DB }

func (p part[T]) Update(ctx context.Context, f func(T) error) error {
	return store.Update[T](p.DB)(ctx, f)
}

func TestAccounts(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		accounttest.TestStore(t, func(t testing.TB) accounttest.Store { return part[account.Tx]{open(t)} })
	})
}

func TestMailTokens(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		signintest.TestStore(t, func(t testing.TB) signintest.Store { return part[signin.Tx]{open(t)} })
	})
}

func TestSecondFactors(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		factortest.TestStore(t, func(t testing.TB) factortest.Store { return part[factor.Tx]{open(t)} })
	})
}

func TestAPIKeys(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		apikeytest.TestStore(t, func(t testing.TB) apikeytest.Store { return part[apikey.Tx]{open(t)} })
	})
}

func TestVerifications(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		persontest.TestStore(t, func(t testing.TB) persontest.Store { return part[person.Tx]{open(t)} })
	})
}

func TestSessions(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		sessiontest.TestStore(t, func(t testing.TB) session.Store { return open(t) })
	})
}

func TestLedger(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		sessiontest.TestLedger(t, func(t testing.TB) sessiontest.Ledger { return open(t) })
	})
}

func TestPolicy(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		policytest.TestStore(t, func(t testing.TB) policytest.Store { return open(t) })
	})
}

func TestSigningKeys(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		tokentest.TestKeyStore(t, func(t testing.TB) token.KeyStore { return open(t) })
	})
}

func TestActivities(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		audittest.TestStore(t, func(t testing.TB) audit.Store {
			db := open(t)
			u := account.User{UID: audittest.Known, Email: "known@example.com", Role: "member", State: "active"}
			if err := db.AddUser(t.Context(), &u); err != nil {
				t.Fatal(err)
			}
			return db
		})
	})
}

func TestFeed(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		feedtest.TestStore(t, func(t testing.TB) feedtest.Store {
			return part[feedtest.Tx]{open(t, store.WithDestinations(func(event.Event) []string { return []string{"d"} }))}
		})
	})
}

func TestNonces(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		storetest.TestNonces(t, func(t testing.TB) store.NonceStore { return open(t) })
	})
}

func TestLimits(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		limittest.TestStore(t, func(t testing.TB) limit.Store { return open(t) })
	})
}

// SQLite is for one process; PostgreSQL is asked over two pools.
func TestMessagesOfPeers(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		peertest.TestStore(t, func(t testing.TB) (a, b peertest.Store) {
			db := storetest.Open(t)
			return db, db
		})
	})
	t.Run("postgres", func(t *testing.T) {
		peertest.TestStore(t, func(t testing.TB) (a, b peertest.Store) {
			url := storetest.PostgresURL(t)
			return storetest.OpenURL(t, url), storetest.OpenURL(t, url)
		})
	})
}
