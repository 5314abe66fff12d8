package main

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/event"
	"barong/internal/notify"
)

// slowMail is a mail server that takes one mail at a time, and a while for each. It sends their
// readers on the channel.
func slowMail(t *testing.T, each time.Duration) (port int, readers <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken := make(chan string, 1000)
	var one sync.Mutex
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprint(conn, "220 mail.example\r\n")
				to, text := "", false
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					line := lines.Text()
					switch {
					case text && line != ".":
						continue
					case text:
						one.Lock()
						time.Sleep(each)
						one.Unlock()
						text = false
						taken <- to
					case line == "DATA":
						text = true
						fmt.Fprint(conn, "354 go on\r\n")
						continue
					case strings.HasPrefix(line, "RCPT"):
						to = strings.Trim(strings.TrimPrefix(line, "RCPT TO:"), "<>")
					}
					fmt.Fprint(conn, "250 well\r\n")
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, taken
}

// TestAResetArrivesBesideAStormOfNotices: one account signs in 264 times, and the server takes
// a second for each mail.
func TestAResetArrivesBesideAStormOfNotices(t *testing.T) {
	port, readers := slowMail(t, time.Second)
	c := newConsole(t, "BARONG_MAIL_DELIVERY=smtp", fmt.Sprint("BARONG_SMTP_PORT=", port))
	uids := map[string]string{}
	for _, email := range []string{"storm@barong.example", "reset@barong.example"} {
		line := c.run(memberPassword+"\n", "users create --level 1 --email "+email).want(t, 0).out
		uids[email], _, _ = strings.Cut(line, " ")
	}
	s, f, err := load(&terminal{environ: c.env, out: os.Stderr, err: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	db, err := openDatabase(t.Context(), s, f, log)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sv := &service{settings: s, db: db, stores: shared{limits: db}, log: log}
	if err := sv.openRelay(f); err != nil {
		t.Fatal(err)
	}
	user := func(email string) event.User { return event.User{UID: uids[email], Email: email} }
	for range 264 {
		if err := db.Emit(t.Context(), event.DeviceAdded(user("storm@barong.example"), "192.0.2.1", "x", "", time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	relaying := make(chan struct{})
	go func() {
		defer close(relaying)
		sv.relay.Run(t.Context())
	}()
	<-readers // the storm is on its way
	if err := db.Emit(t.Context(), event.ResetToken(event.Notice{User: user("reset@barong.example"), Domain: "x.example"}, "a.b.c")); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	notices := 1
	for deadline := time.After(30 * time.Second); ; notices++ {
		select {
		case to := <-readers:
			if to == "reset@barong.example" {
				t.Logf("the reset mail took %v, after %d notices", time.Since(asked), notices)
				if err := sv.relay.Close(t.Context()); err != nil {
					t.Error(err)
				}
				<-relaying
				for len(readers) > 0 {
					<-readers
					notices++
				}
				if notices > 3 {
					t.Errorf("got %d notices to one address, want at most 3", notices)
				}
				for _, d := range sv.mailer.Dropped() {
					if d.Lane == notify.Notices && d.Reason == notify.OverBudget && int(d.Mails)+notices != 264 {
						t.Errorf("%d were sent and %d dropped, want 264 in all", notices, d.Mails)
					}
				}
				return
			}
		case <-deadline:
			t.Fatalf("the reset mail did not arrive within 30 s; %d notices did", notices)
		}
	}
}

// TestSeedingSendsNoMail: commands and seeds tell the wire, and nobody's mailbox.
func TestSeedingSendsNoMail(t *testing.T) {
	seeds := filepath.Join(t.TempDir(), "seeds.yml")
	text, _ := builtInFile("seeds")
	with := strings.Replace(string(text), "\nlevels:", "\nusers:\n- { email: seeded@barong.example, role: admin, level: 3, state: active }\nlevels:", 1)
	if err := os.WriteFile(seeds, []byte(with), 0o600); err != nil || with == string(text) {
		t.Fatal("no seeds were written: ", err)
	}
	c := newConsole(t, "BARONG_SEEDS="+seeds, "BARONG_EVENT_API_RABBITMQ_URL=amqp://guest:guest@127.0.0.1:1/")
	c.run("", "seed").want(t, 0)
	c.run(memberPassword+"\n", "users create --level 3 --role admin --email made@barong.example").want(t, 0)
	db := openStore(t, c.dir)
	for _, email := range []string{"seeded@barong.example", "made@barong.example"} {
		if u, err := db.UserByEmail(t.Context(), email); err != nil || u.Level != 3 {
			t.Fatalf("%s: got level %d and %v", email, u.Level, err)
		}
	}
	for _, name := range []string{"mail", "mail_notices", "mail_components"} {
		if b, err := db.EventBacklog(t.Context(), name); err != nil || b.Waiting != 0 {
			t.Errorf("%s: got %v and %d waiting, want none", name, err, b.Waiting)
		}
	}
	if b, err := db.EventBacklog(t.Context(), toBroker); err != nil || b.Waiting < 8 {
		t.Errorf("for the wire: got %v and %d waiting, want each user and label told", err, b.Waiting)
	}
}
