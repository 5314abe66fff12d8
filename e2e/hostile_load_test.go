package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/time/rate"

	"barong/e2e"
)

// The drill: one client without credentials does its worst, within a bandwidth, while a
// signed-in person goes on asking.
const (
	hostileBytes  = 50_000_000 / 8 // a second: 50 Mbit/s
	hostileLength = 3 * time.Second
	personRate    = 100 // requests a second of the signed-in person
	personBar     = 5   // times the idle p99
	// A p99 below this counts as this much: on a busy machine the idle one is chance.
	personLeast = 8 * time.Millisecond
	drillRounds = 3 // the best of them counts: the machine has other work
)

// An assault is one way to harm; run goes on until ctx ends. Bytes are taken from the client's
// bandwidth before they are sent.
type assault struct {
	name string
	run  func(ctx context.Context, at string, bandwidth *rate.Limiter)
}

// assaults are the client's attempts, one after the other.
func assaults() []assault {
	cookies := []string{
		"_barong_session=a; " + strings.Repeat(",", 15000) + strings.Repeat(" ", 15000) + ";b=1",
		strings.Repeat("_barong_session=a,", 1700),
		"_barong_session=" + strings.Repeat("%2", 10000),
		strings.Repeat("_barong_session;", 1900),
		strings.Repeat(" \t", 15000) + "_barong_session=a",
	}
	agent := strings.Repeat("a", 30000)
	addresses := strings.Repeat("203.0.113.7,", 2500) + "203.0.113.7"
	many := ""
	for i := range 90 {
		many += fmt.Sprintf("X-Filler-%d: %s\r\n", i, strings.Repeat("v", 300))
	}
	deep := strings.Repeat(`{"email":[`, 20000)
	return []assault{
		{"cookie flood", requests(24, func(i int) string {
			return getting("/api/v2/peatio/public/x", "Cookie: "+cookies[i%len(cookies)]+"\r\n")
		})},
		{"header flood", requests(24, func(int) string { return getting("/api/v2/peatio/account/x", many) })},
		{"address flood", requests(24, func(int) string {
			return getting("/api/v2/peatio/account/x", "X-Forwarded-For: "+addresses+"\r\n")
		})},
		{"agent flood", requests(24, func(int) string {
			return getting("/api/v2/peatio/account/x", "Cookie: _barong_session="+random()+"\r\nUser-Agent: "+agent+"\r\n")
		})},
		{"unknown sessions", requests(24, func(int) string {
			return getting("/api/v2/peatio/account/x", "Cookie: _barong_session="+random()+"\r\n"+filler)
		})},
		{"unknown keys", requests(24, func(int) string {
			return getting("/api/v2/peatio/account/x", fmt.Sprintf("X-Auth-Apikey: %s\r\nX-Auth-Nonce: %d\r\nX-Auth-Signature: %s\r\n%s",
				random()[:16], time.Now().UnixMilli(), random()+random(), filler))
		})},
		{"sign-in storm", requests(24, func(i int) string {
			return posted("/api/v2/barong/identity/sessions", fmt.Sprintf(`{"email":"nobody-%s@example.com","password":"x%d"}`, random(), i))
		})},
		{"sign-in storm on one account", requests(24, func(i int) string {
			return posted("/api/v2/barong/identity/sessions", fmt.Sprintf(`{"email":"member@example.com","password":"wrong-%d"}`, i))
		})},
		{"mail storm", requests(24, func(i int) string {
			return posted("/api/v2/barong/identity/users/password/generate_code", `{"email":"member@example.com"}`)
		})},
		{"sign-up storm", requests(24, func(i int) string {
			return posted("/api/v2/barong/identity/users", fmt.Sprintf(`{"email":"%s@example.com","password":"%s"}`, random(), password))
		})},
		{"deep bodies", requests(24, func(int) string { return posted("/api/v2/barong/identity/sessions", deep) })},
		{"passwords to judge", requests(24, func(int) string {
			return posted("/api/v2/barong/identity/password/validate", `{"password":"`+strings.Repeat("aA1", 60000)+`"}`)
		})},
		{"slow bodies", slowBodies},
		{"stream resets", resets},
	}
}

// filler makes a small request as long as a browser's, so that the bandwidth bounds its rate.
var filler = "Accept-Language: " + strings.Repeat("en-US;q=0.5,", 250) + "en\r\n"

func random() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func getting(path, headers string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: gateway.test\r\n" + headers + "\r\n"
}

func posted(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		path, filler, len(body), body)
}

// spend waits until n bytes may be sent.
func spend(ctx context.Context, bandwidth *rate.Limiter, n int) error {
	for n > 0 {
		part := min(n, bandwidth.Burst())
		if err := bandwidth.WaitN(ctx, part); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

// requests sends next(0), next(1), … over so many connections, each kept while it is answered.
func requests(connections int, next func(int) string) func(context.Context, string, *rate.Limiter) {
	return func(ctx context.Context, at string, bandwidth *rate.Limiter) {
		var count atomic.Int64
		var all sync.WaitGroup
		for range connections {
			all.Go(func() {
				for ctx.Err() == nil {
					keep(ctx, at, func(conn net.Conn, answers *bufio.Reader) bool {
						text := next(int(count.Add(1)))
						if spend(ctx, bandwidth, len(text)) != nil {
							return false
						}
						if _, err := io.WriteString(conn, text); err != nil {
							return false
						}
						resp, err := http.ReadResponse(answers, nil)
						if err != nil {
							return false
						}
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						return err == nil && !resp.Close
					})
				}
			})
		}
		all.Wait()
	}
}

// keep dials and calls f until it returns false or ctx ends.
func keep(ctx context.Context, at string, f func(net.Conn, *bufio.Reader) bool) {
	// Not the person's address: the proxy bounds the requests of each address.
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(ctx, "tcp", at)
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for ctx.Err() == nil && f(conn, answers) {
	}
}

// slowBodies opens 400 requests whose bodies come one byte every 100 ms.
func slowBodies(ctx context.Context, at string, bandwidth *rate.Limiter) {
	var all sync.WaitGroup
	for range 400 {
		all.Go(func() {
			begun := false
			keep(ctx, at, func(conn net.Conn, _ *bufio.Reader) bool {
				text := "a"
				if !begun {
					begun, text = true, "POST /api/v2/barong/identity/sessions HTTP/1.1\r\nHost: gateway.test\r\n"+
						"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
				}
				if spend(ctx, bandwidth, len(text)) != nil {
					return false
				}
				_, err := io.WriteString(conn, text)
				time.Sleep(100 * time.Millisecond)
				return err == nil
			})
		})
	}
	all.Wait()
}

// resets opens streams over HTTP/2 and takes each back at once (CVE-2023-44487): as many in one
// write as a connection is likely to be let, and then another connection.
func resets(ctx context.Context, at string, bandwidth *rate.Limiter) {
	var block, flood bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "GET"}, {":scheme", "http"}, {":authority", "gateway.test"}, {":path", "/api/v2/peatio/account/x"},
		{"cookie", "_barong_session=" + random()},
	} {
		enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true})
	}
	flood.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&flood, nil)
	framer.WriteSettings()
	for stream := range uint32(500) {
		framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 2*stream + 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
		})
		framer.WriteRSTStream(2*stream+1, http2.ErrCodeCancel)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				keep(ctx, at, func(conn net.Conn, answers *bufio.Reader) bool {
					if spend(ctx, bandwidth, flood.Len()) == nil {
						conn.Write(flood.Bytes())
						io.Copy(io.Discard, answers) // until it is closed
					}
					return false
				})
			}
		})
	}
	all.Wait()
}

// A waiting sums up the answers that a person got over some time.
type waiting struct {
	p99   time.Duration
	wrong map[int]int // answers that were not 200, by status; 0 is none
	count int
}

// ask lets the signed-in person ask steadily, for a time.
func ask(t testing.TB, p e2e.Proxy, who login, length time.Duration) waiting {
	t.Helper()
	client := &http.Client{
		Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	got := waiting{wrong: map[int]int{}}
	var took []time.Duration
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / personRate)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-tick.C {
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/api/v2/peatio/account/balances", nil)
			if err != nil {
				return
			}
			req.Header.Set("User-Agent", "e2e")
			req.Header.Set("Cookie", who.cookie)
			status, began := 0, time.Now()
			if resp, err := client.Do(req); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				status = resp.StatusCode
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
			if status != http.StatusOK {
				got.wrong[status]++
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	got.count, got.p99 = len(took), took[len(took)*99/100]
	return got
}

// TestHostileLoad holds the bar: whatever one client without credentials sends at 50 Mbit/s
// through the shipped Envoy file, a signed-in person's warm decisions stay 200, and their p99
// stays within five times that of a quiet time.
func TestHostileLoad(t *testing.T) {
	s := startStack(t)
	p := s.gateway(t, "envoy")
	who := signIn(t, p, "member")
	at := strings.TrimPrefix(p.URL(), "http://")
	ask(t, p, who, time.Second) // warm
	for _, a := range assaults() {
		t.Run(a.name, func(t *testing.T) {
			var seen []string
			for range drillRounds {
				quiet := ask(t, p, who, 2*time.Second)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					a.run(ctx, at, rate.NewLimiter(hostileBytes, hostileBytes/10))
				}()
				time.Sleep(300 * time.Millisecond) // it has begun
				busy := ask(t, p, who, hostileLength)
				stop()
				<-done
				bar := personBar * max(quiet.p99, personLeast)
				line := fmt.Sprintf("p99 %v quiet, %v under it, bar %v, not 200: %v of %d", quiet.p99.Round(100*time.Microsecond),
					busy.p99.Round(100*time.Microsecond), bar.Round(time.Millisecond), busy.wrong, busy.count)
				seen = append(seen, line)
				if len(busy.wrong) == 0 && busy.p99 <= bar {
					report("hostile load: " + a.name + ": " + line)
					return
				}
			}
			t.Errorf("no round held:\n%s", strings.Join(seen, "\n"))
		})
	}
}

// TestOneClientsRequestsAreBounded asks more than envoy.yaml lets one address ask: the answer is
// 429 in JSON, and another address is none the worse.
func TestOneClientsRequestsAreBounded(t *testing.T) {
	s := startStack(t)
	p := s.gateway(t, "envoy")
	who := signIn(t, p, "member")
	refused := make(chan answer, 1)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	const most = 20000 // the bucket holds 2000, and gets 500 a second
	var count atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			keep(ctx, strings.TrimPrefix(p.URL(), "http://"), func(conn net.Conn, answers *bufio.Reader) bool {
				if count.Add(1) > most || len(refused) > 0 {
					return false
				}
				io.WriteString(conn, getting("/api/v2/peatio/public/x", ""))
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					return false
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode == http.StatusTooManyRequests {
					select {
					case refused <- answer{status: resp.StatusCode, header: resp.Header, body: string(body)}:
					default:
					}
				}
				return err == nil
			})
		})
	}
	all.Wait()
	select {
	case got := <-refused:
		if got.body != reason("authz.too_many_requests") || got.header.Get("Retry-After") != "1" ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %v %s", got.header, got.body)
		}
	default:
		t.Fatalf("none of %d requests was refused", count.Load())
	}
	raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\n"+who.lines()).echoed(t)
}
