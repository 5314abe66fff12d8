package store_test

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/audit"
	"barong/internal/audit/audittest"
	"barong/internal/feed/feedtest"
	"barong/internal/session"
	"barong/internal/session/sessiontest"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/internal/token/tokentest"
	"barong/policy/policytest"
)

func TestAccounts(t *testing.T) {
	accounttest.TestStore(t, func(t testing.TB) account.Store { return storetest.Open(t) })
}

func TestSessions(t *testing.T) {
	sessiontest.TestStore(t, func(t testing.TB) session.Store { return storetest.Open(t) })
}

func TestLedger(t *testing.T) {
	sessiontest.TestLedger(t, func(t testing.TB) session.Ledger { return storetest.Open(t) })
}

func TestPolicy(t *testing.T) {
	policytest.TestStore(t, func(t testing.TB) policytest.Store { return storetest.Open(t) })
}

func TestSigningKeys(t *testing.T) {
	tokentest.TestKeyStore(t, func(t testing.TB) token.KeyStore { return storetest.Open(t) })
}

func TestActivities(t *testing.T) {
	audittest.TestStore(t, func(t testing.TB) audit.Store {
		db := storetest.Open(t)
		u := account.User{UID: audittest.Known, Email: "known@example.com", Role: "member", State: "active"}
		if err := db.AddUser(t.Context(), &u); err != nil {
			t.Fatal(err)
		}
		return db
	})
}

func TestFeed(t *testing.T) {
	feedtest.TestStore(t, func(t testing.TB) feedtest.Store { return storetest.Open(t) })
}

func TestNonces(t *testing.T) {
	storetest.TestNonces(t, func(t testing.TB) store.NonceStore { return storetest.Open(t) })
}
