package testenv

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts cmd, closes done when it has ended, and has the kernel kill it when this
// process dies, however that happens: a test that panics or times out runs no cleanup. The user that
// cmd runs as stays.
func startTied(cmd *exec.Cmd, done chan<- struct{}) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started cmd ends: this one must last.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // these are killed
		}
		close(done)
	}()
	return <-started
}
