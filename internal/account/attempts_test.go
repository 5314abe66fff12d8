package account_test

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
)

func TestAttemptsInMemory(t *testing.T) {
	accounttest.TestAttempts(t, func(testing.TB) account.Attempts { return new(account.MemoryAttempts) })
}
