//go:build !linux

package testenv

import "os/exec"

// startTied starts cmd and closes done when it has ended.
func startTied(cmd *exec.Cmd, done chan<- struct{}) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait() // these are killed
		close(done)
	}()
	return nil
}
