package e2e

import (
	"path/filepath"
	"syscall"
)

// A Browser is a Chromium without a window.
type Browser struct{ *Process }

// StartBrowser opens page in the Chromium bin and returns at once. Its profile is new and lies in
// dir; it asks nobody but the page.
func StartBrowser(bin, dir, page string) (Browser, error) {
	p, err := start("chromium", dir, []string{"TMPDIR=" + dir}, bin,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--remote-debugging-port=0", page)
	return Browser{p}, err
}

// Stop ends the browser, with the processes that it has started: they are of its group.
func (b Browser) Stop() error {
	err := b.Process.Stop()
	_ = syscall.Kill(-b.PID(), syscall.SIGKILL) // mostly nobody is left
	return err
}
