package clamd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"barong/internal/person"
	"barong/internal/provider/clamd"
	"barong/internal/testenv"
)

func scanner(t testing.TB, address string, timeout time.Duration) *clamd.Scanner {
	t.Helper()
	s, err := clamd.New(clamd.Config{Address: address, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// virus is the mark that the daemon of these tests knows.
const virus = "barong-test-virus-4c1d"

func TestTheDaemonDecides(t *testing.T) {
	d := testenv.StartClamd(t, testenv.ClamdConfig{Virus: virus, StreamMaxLength: 1 << 20})
	for name, address := range map[string]string{"over TCP": d.Addr, "over its socket": "unix://" + d.Socket} {
		t.Run(name, func(t *testing.T) {
			s := scanner(t, address, 30*time.Second)
			noise := bytes.Repeat([]byte("all is well\n"), 70_000) // more than a dozen chunks, less than 1 MiB
			for _, clean := range [][]byte{nil, []byte("x"), noise, []byte("%PDF-1.4\n")} {
				if err := s.Scan(t.Context(), bytes.NewReader(clean)); err != nil {
					t.Errorf("%d clean bytes: %v", len(clean), err)
				}
			}
			for place, infected := range map[string]string{
				"alone": virus, "at the start": virus + string(noise), "at the end": string(noise) + virus,
				"over a border of chunks": strings.Repeat("y", 64<<10-5) + virus,
			} {
				err := s.Scan(t.Context(), iotest.HalfReader(strings.NewReader(infected)))
				if !errors.Is(err, person.ErrInfected) {
					t.Errorf("%s: %v, want ErrInfected", place, err)
				}
			}
			for _, n := range []int{1<<20 + 1, 20 << 20} {
				err := s.Scan(t.Context(), bytes.NewReader(make([]byte, n)))
				if err == nil || errors.Is(err, person.ErrInfected) {
					t.Errorf("%d bytes, more than it takes: %v, want another error", n, err)
				}
			}
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					content, want := "clean", error(nil)
					if i%2 == 0 {
						content, want = virus, person.ErrInfected
					}
					if err := s.Scan(t.Context(), strings.NewReader(content)); !errors.Is(err, want) || (err == nil) != (want == nil) {
						t.Errorf("at once: %v, want %v", err, want)
					}
				})
			}
			all.Wait()
		})
	}
	s := scanner(t, d.Addr, 2*time.Second)
	d.Pause(t)
	if err := s.Scan(t.Context(), strings.NewReader("x")); err == nil || errors.Is(err, person.ErrInfected) {
		t.Errorf("a daemon that hangs: %v, want another error", err)
	}
	d.Resume(t)
	if err := s.Scan(t.Context(), strings.NewReader("x")); err != nil {
		t.Errorf("it is back: %v", err)
	}
	d.Kill()
	if err := s.Scan(t.Context(), strings.NewReader("x")); err == nil || errors.Is(err, person.ErrInfected) {
		t.Errorf("a daemon that is gone: %v, want another error", err)
	}
}

// hostile is the address of a daemon that serves each connection by serve, whose end is that of the test.
func hostile(t testing.TB, serve func(c net.Conn, end <-chan struct{})) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c, end)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(end)
		all.Wait()
	})
	return l.Addr().String()
}

// drain reads the stream to its end: four bytes of zero, which the content here has not.
func drain(c net.Conn) {
	var last []byte
	b := make([]byte, 4096)
	for !bytes.HasSuffix(last, []byte{0, 0, 0, 0}) {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		last = append(last[max(0, len(last)-4):], b[:n]...)
	}
}

func TestOddDaemons(t *testing.T) {
	answers := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, _ <-chan struct{}) {
			drain(c)
			io.WriteString(c, text)
		}
	}
	for name, serve := range map[string]func(net.Conn, <-chan struct{}){
		"no answer":                     answers(""),
		"half an answer":                answers("stream: OK"),
		"half of another":               answers("stream: O"),
		"a line":                        answers("stream: OK\n"),
		"two answers":                   answers("stream: OK\x00stream: OK\x00"),
		"an answer to another":          answers("1: stream: OK\x00"),
		"a scan that failed":            answers("stream: Can't open file or directory ERROR\x00"),
		"an unknown command":            answers("UNKNOWN COMMAND\x00"),
		"a web server":                  answers("HTTP/1.1 400 Bad Request\r\n\r\nhunter2"),
		"a secret":                      answers("hunter2\x00"),
		"an early answer, then the end": func(c net.Conn, _ <-chan struct{}) { io.WriteString(c, "stream: OK\x00") },
		"the end at once":               func(net.Conn, <-chan struct{}) {},
		"an answer that does not end": func(c net.Conn, _ <-chan struct{}) {
			drain(c)
			for {
				if _, err := io.WriteString(c, strings.Repeat("stream: OK", 1000)); err != nil {
					return
				}
			}
		},
		"an answer and then nothing": func(c net.Conn, _ <-chan struct{}) {
			drain(c)
			io.WriteString(c, "stream: OK\x00")
			io.Copy(io.Discard, c)
		},
		"an answer, byte for byte, for ever": func(c net.Conn, end <-chan struct{}) {
			drain(c)
			for {
				select {
				case <-end:
					return
				case <-time.After(100 * time.Millisecond):
				}
				if _, err := io.WriteString(c, "s"); err != nil {
					return
				}
			}
		},
		"nobody reads": func(_ net.Conn, end <-chan struct{}) { <-end },
		"silence":      func(c net.Conn, _ <-chan struct{}) { io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t, hostile(t, serve), time.Second)
			begin := time.Now()
			err := s.Scan(t.Context(), strings.NewReader(strings.Repeat("content ", 1<<20)))
			if err == nil || errors.Is(err, person.ErrInfected) || strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("%v, want an error that decides nothing", err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAnswersOfOthersDecide(t *testing.T) {
	for answer, want := range map[string]error{
		"stream: OK\x00": nil, "stream: Eicar-Test-Signature FOUND\x00": person.ErrInfected,
		"INSTREAM size limit exceeded. ERROR\x00": clamd.ErrTooLong,
	} {
		s := scanner(t, hostile(t, func(c net.Conn, _ <-chan struct{}) {
			drain(c)
			for i := range len(answer) { // slowly
				io.WriteString(c, answer[i:i+1])
			}
		}), 10*time.Second)
		if err := s.Scan(t.Context(), strings.NewReader("content")); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
	}
}

func TestTheCallersFaultsAreNotTheDaemons(t *testing.T) {
	s := scanner(t, hostile(t, func(c net.Conn, _ <-chan struct{}) {
		drain(c)
		io.WriteString(c, "stream: OK\x00")
	}), 10*time.Second)
	broken := errors.New("the client is gone")
	content := io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), iotest.ErrReader(broken))
	if err := s.Scan(t.Context(), content); !errors.Is(err, broken) {
		t.Errorf("%v, want the reader's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Scan(ctx, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has left: %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:3310": true, "clamd:3310": true, "[::1]:3310": true, "unix:///run/clamav/clamd.ctl": true,
		"": false, "clamd": false, ":3310": false, "clamd:0": false, "clamd:http": false, "clamd:70000": false, "unix://clamd.ctl": false,
	} {
		if _, err := clamd.New(clamd.Config{Address: address, Timeout: time.Second}); (err == nil) != want {
			t.Errorf("%q: %v, want it good %v", address, err, want)
		}
	}
	if _, err := clamd.New(clamd.Config{Address: "clamd:3310", Timeout: time.Millisecond}); err == nil {
		t.Error("a timeout of 1 ms is taken")
	}
	for address, want := range map[string]bool{
		"127.0.0.1:3310": false, "[::1]:3310": false, "localhost:3310": false, "unix:///run/clamd.ctl": false, "clamd:3310": true, "192.0.2.1:3310": true,
	} {
		if (clamd.Config{Address: address}).Open() != want {
			t.Errorf("%q: open %v, want %v", address, !want, want)
		}
	}
	s := scanner(t, "unix://"+filepath.Join(t.TempDir(), "none"), time.Second)
	if err := s.Scan(t.Context(), strings.NewReader("x")); err == nil {
		t.Error("no daemon, and no error")
	}
}
