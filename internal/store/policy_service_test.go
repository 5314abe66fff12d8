package store_test

import (
	"testing"

	"barong/internal/audit/audittest"
	"barong/internal/store/storetest"
	"barong/policy/policytest"
)

func TestPolicyService(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		policytest.TestEditorStore(t, func(t testing.TB) policytest.EditorStore { return open(t) })
	})
}

func TestJournal(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		audittest.TestJournal(t, func(t testing.TB) audittest.Journal { return open(t) })
	})
}
