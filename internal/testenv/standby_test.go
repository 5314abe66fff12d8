package testenv

import (
	"testing"
	"time"
)

// A standby shows the primary's commits, and when promoted has those that it had heard and no
// more: neither those that a primary that hung did not send, nor anything of it later.
func TestStandbyTakesOver(t *testing.T) {
	primary := StartPrimary(t, PostgresConfig{})
	standby := primary.Standby(t, 0, "")
	ctx := t.Context()
	exec := func(s *Server, text string) {
		t.Helper()
		if err := s.Exec(ctx, "postgres", text); err != nil {
			t.Fatal(err)
		}
	}
	count := func(s *Server) (n int) {
		t.Helper()
		if err := s.queryRow(ctx, `SELECT count(*) FROM noted`, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	exec(primary, `CREATE TABLE noted (n INTEGER)`)
	exec(primary, `INSERT INTO noted VALUES (1)`)
	standby.Follows(t, primary)
	if err := standby.Exec(ctx, "postgres", `INSERT INTO noted VALUES (2)`); err == nil {
		t.Error("a standby took a write")
	}
	primary.Pause(t)
	standby.Replayed(t)
	standby.Promote(t)
	exec(standby, `INSERT INTO noted VALUES (2)`)
	if n := count(standby); n != 2 {
		t.Errorf("%d rows after the promotion, want 2", n)
	}
	primary.Kill(t)
	primary.Kill(t)
	if err := exec1(primary.URL("postgres")+"&connect_timeout=1", `SELECT 1`); err == nil {
		t.Error("a killed server answers")
	}
	// Roles change, and with them ports: the next standby is where the old primary was.
	began := time.Now()
	next := standby.Standby(t, primary.Port(), "")
	next.Follows(t, standby)
	if n := count(next); n != 2 {
		t.Errorf("%d rows at the next standby, want 2", n)
	}
	t.Logf("a standby takes %s", time.Since(began).Round(time.Millisecond))
}
