package smtp_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"barong/internal/event"
	"barong/internal/provider/smtp"
)

// scripted is a mail server that gives one answer to one command, and takes all others. It
// keeps its client's greeting.
type scripted struct {
	at, answer string // "RCPT" and "550 5.1.1 unknown"; at "." is the end of the text
	offers     string // a line of EHLO beside its name, "" for none
	helo       chan string
}

// serve answers connections until the test ends.
func (s scripted) serve(t testing.TB) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func (s scripted) talk(conn net.Conn) {
	defer conn.Close()
	say := func(command, answer string) {
		if command == s.at {
			answer = s.answer
		}
		fmt.Fprint(conn, strings.ReplaceAll(answer, "\n", "\r\n"), "\r\n")
	}
	say("greeting", "220 mail.example")
	lines := bufio.NewScanner(conn)
	for text := false; lines.Scan(); {
		command, rest, _ := strings.Cut(lines.Text(), " ")
		command, _, _ = strings.Cut(strings.ToUpper(command), ":")
		switch {
		case text && lines.Text() == ".":
			text = false
			say(".", "250 taken")
		case text:
		case command == "EHLO":
			if s.helo != nil {
				s.helo <- rest
			}
			if s.offers != "" {
				say(command, "250-mail.example\n250 "+s.offers)
				continue
			}
			say(command, "250 mail.example")
		case command == "DATA":
			text = s.at != "DATA"
			say(command, "354 go on")
		default:
			say(command, "250 well")
		}
	}
}

func send(t testing.TB, s scripted) error {
	t.Helper()
	server, err := smtp.New(smtp.Config{TLS: smtp.TLSAuto, Helo: "exchange.example", Host: "127.0.0.1", Port: s.serve(t)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return server.Send(t.Context(), message())
}

// TestOnlyAnswersAboutTheReaderAreFinal gives answers of real servers at each command.
func TestOnlyAnswersAboutTheReaderAreFinal(t *testing.T) {
	tests := map[string]struct {
		at, answer string
		permanent  bool
	}{
		"no such mailbox":                   {"RCPT", "550 5.1.1 <ann@example.com>: user unknown", true},
		"no such mailbox, several lines":    {"RCPT", "550-5.1.1 no such account\n550 5.1.1 see our page", true},
		"no such mailbox, after a number":   {"RCPT", "550 #5.1.0 Address rejected.", true},
		"no such mailbox, at the end":       {"RCPT", "550 no mailbox by that name. (#5.1.1)", true},
		"a code alone":                      {"RCPT", "550 5.1.1", true},
		"the mailbox is closed":             {"RCPT", "550 5.2.1 disabled", true},
		"too much for the mailbox":          {".", "552 5.2.3 too big for this reader", true},
		"the mailbox, before the text":      {"DATA", "550 5.2.2 over quota", true},
		"a name without a dot":              {"RCPT", "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", false},
		"no relaying":                       {"RCPT", "554 5.7.1 Relay access denied", false},
		"a block list":                      {"RCPT", "550 5.7.1 Service unavailable; client [192.0.2.1] blocked", false},
		"no code at all":                    {"RCPT", "550 relay not permitted", false},
		"an address like a code":            {"RCPT", "550 5.1.1.7 is blocked", false},
		"an address like a code, later":     {"RCPT", "554 client 5.1.2.9 rejected", false},
		"the sender's domain":               {"RCPT", "553 5.1.8 sender's domain does not exist", false},
		"the sender's address":              {"RCPT", "550 5.1.7 bad sender", false},
		"the sender, said of the address":   {"MAIL", "550 5.1.1 unknown", false},
		"the message is spam":               {".", "554 5.7.1 message looks like spam", false},
		"the message's form":                {".", "550 5.6.0 bad header", false},
		"an enhanced code that says later":  {"RCPT", "550 4.1.1 not now", false},
		"later":                             {"RCPT", "450 5.1.1 not now", false},
		"greylisted":                        {"RCPT", "451 4.7.1 greylisted", false},
		"no mails from this address at all": {"greeting", "554 5.1.1 go away", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := send(t, scripted{at: tt.at, answer: tt.answer})
			if err == nil || errors.Is(err, event.ErrPermanent) != tt.permanent {
				t.Errorf("%s answered %q: got %v, want it given up: %v", tt.at, tt.answer, err, tt.permanent)
			}
			if err != nil && (strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "192.0.2.1")) {
				t.Errorf("the error holds the server's text: %v", err)
			}
		})
	}
}

// TestARefusalOfUsSaysSo: it is for the operator, in the log.
func TestARefusalOfUsSaysSo(t *testing.T) {
	err := send(t, scripted{at: "RCPT", answer: "554 5.7.1 Relay access denied"})
	for _, want := range []string{"refuses us", "554 5.7.1", "smtp_helo"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// TestAMailThatWasTakenIsNotSentAgain: the server refuses the commands after the text.
func TestAMailThatWasTakenIsNotSentAgain(t *testing.T) {
	for _, at := range []string{"RSET", "QUIT"} {
		if err := send(t, scripted{at: at, answer: "502 5.5.1 not here"}); err != nil {
			t.Errorf("%s is refused: got %v, want the mail sent", at, err)
		}
	}
}

// TestAnswersByPhaseAndCode compares with the rule said in one sentence: final is 5yz with
// 5.1 or 5.2 but 5.1.7 and 5.1.8, to RCPT, DATA or the end of the text.
func TestAnswersByPhaseAndCode(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		at := rapid.SampledFrom([]string{"MAIL", "RCPT", "DATA", "."}).Draw(r, "at")
		code := rapid.IntRange(400, 599).Draw(r, "code")
		class := rapid.SampledFrom([]int{2, 4, 5}).Draw(r, "class")
		subject, detail := rapid.IntRange(0, 8).Draw(r, "subject"), rapid.IntRange(0, 30).Draw(r, "detail")
		enhanced := rapid.Bool().Draw(r, "enhanced")
		text := rapid.StringMatching(`[a-z<>:@. ]{0,40}`).Draw(r, "text")
		answer := fmt.Sprintf("%d %s", code, text)
		if enhanced {
			answer = fmt.Sprintf("%d %d.%d.%d %s", code, class, subject, detail, text)
		}
		want := at != "MAIL" && code >= 500 && enhanced && class == 5 &&
			(subject == 1 && detail != 7 && detail != 8 || subject == 2)
		err := send(t, scripted{at: at, answer: answer})
		if err == nil || errors.Is(err, event.ErrPermanent) != want {
			r.Fatalf("%s answered %q: got %v, want it given up: %v", at, answer, err, want)
		}
	})
}

func TestWeGreetByTheConfiguredName(t *testing.T) {
	s := scripted{helo: make(chan string, 1)}
	if err := send(t, s); err != nil {
		t.Fatal(err)
	}
	if got := <-s.helo; got != "exchange.example" {
		t.Errorf("got EHLO %s, want exchange.example", got)
	}
}

func TestNamesForTheGreeting(t *testing.T) {
	for name, want := range map[string]bool{
		"exchange.example": true, "mail-1.exchange.example": true, "[192.0.2.1]": true, "[IPv6:2001:db8::1]": true,
		"a." + strings.Repeat("b", 63): true,
		"":                             false, "vm": false, "localhost": false, "exchange.example.": false, ".example": false,
		"a..b": false, "-a.example": false, "a-.example": false, "a_b.example": false, "биржа.example": false,
		"192.0.2.1": false, "[192.0.2.1": false, "[2001:db8::1]": false, "[IPv6:192.0.2.1]": false, "[IPv6:fe80::1%eth0]": false,
		"a." + strings.Repeat("b", 64): false, strings.Repeat("a.", 127) + "b": false, "a.example\r\nMAIL": false, "a.b c": false,
	} {
		if got := smtp.FullyQualified(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if _, err := smtp.New(smtp.Config{Host: "mail.example", Port: 25, TLS: smtp.TLSAuto}, nil); err == nil || !strings.Contains(err.Error(), "EHLO") {
		t.Errorf("without a name: got %v, want it refused", err)
	}
}

// TestLoopbackWithoutUsableTLS: a server that offers STARTTLS and then has none.
func TestLoopbackWithoutUsableTLS(t *testing.T) {
	for name, answer := range map[string]string{"not now": "454 4.7.0 TLS not available", "no handshake": "220 go on"} {
		if err := send(t, scripted{at: "STARTTLS", answer: answer, offers: "STARTTLS"}); err != nil {
			t.Errorf("%s: got %v, want the mail sent in clear", name, err)
		}
	}
}
