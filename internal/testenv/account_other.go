//go:build !unix

package testenv

import (
	"fmt"
	"syscall"
)

type account struct{}

func unprivileged() (account, error) {
	return account{}, fmt.Errorf("servers of our own run on Unix only: %w", ErrMissing)
}

func (account) attributes() *syscall.SysProcAttr { return nil }

func (account) own(string) error { return nil }
