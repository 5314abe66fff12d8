package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"barong/e2e"
)

// A recorder is an upstream that takes every request of a connection, answers 200, and keeps the
// bytes of its head beside the parsed form.
type recorder struct {
	addr string

	mu   sync.Mutex
	seen []recorded
}

type recorded struct {
	head    string
	target  string
	header  http.Header
	trailer http.Header
}

func startRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	r := &recorder{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	var sent bytes.Buffer // since the last request ended, and whatever was read ahead
	in := bufio.NewReader(io.TeeReader(conn, &sent))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		head, _, _ := strings.Cut(sent.String(), "\r\n\r\n")
		io.Copy(io.Discard, req.Body)
		r.mu.Lock()
		r.seen = append(r.seen, recorded{head, req.RequestURI, req.Header, req.Trailer})
		r.mu.Unlock()
		left := sent.Bytes()[sent.Len()-in.Buffered():]
		sent = *bytes.NewBuffer(bytes.Clone(left))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// take returns the requests since it was called last.
func (r *recorder) take() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// framed says a head that two readers could take for requests of different lengths.
var framed = regexp.MustCompile(`(?i)\n(content-length|transfer-encoding)[ \t]*:`)

// TestFraming hides a second, blocked request in a first one that is allowed, by all the ways in
// which two readers may disagree about the end of a message, and headers in places where one
// reader sees them and another does not. The upstream must get the first request or none, with no
// token of the client's.
func TestFraming(t *testing.T) {
	s := startStack(t)
	const inner = "GET /api/v2/peatio/management/smuggled HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer marked\r\n\r\n"
	head := func(lines string) string {
		return "POST /api/v2/peatio/public/x HTTP/1.1\r\nHost: gateway.test\r\nUser-Agent: e2e\r\n" + lines
	}
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)
	attacks := map[string]string{
		"CL.TE":                 head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner),
		"TE.CL":                 head(fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n%s", 4, chunked)),
		"two lengths":           head(fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner)),
		"two lengths, reversed": head(fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0\r\n\r\n%s", len(inner), inner)),
		"a list of lengths":     head(fmt.Sprintf("Content-Length: 0, %d\r\n\r\n%s", len(inner), inner)),
		"length zero":           head("Content-Length: 0\r\n\r\n" + inner),
		"no length":             head("\r\n" + inner),
		"a GET with a body":     strings.Replace(head(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inner), inner)), "POST", "GET", 1),
		"a HEAD with a body":    strings.Replace(head("Content-Length: 0\r\n\r\n"+inner), "POST", "HEAD", 1),
		"HTTP/1.0 and chunks":   strings.Replace(head("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+inner), "HTTP/1.1", "HTTP/1.0", 1),
		"HTTP/0.9":              "GET /api/v2/peatio/management/smuggled\r\n\r\n",
		"Expect":                head("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n" + inner),
		"a chunk's extension":   head("Transfer-Encoding: chunked\r\n\r\n0;\n" + inner + "\r\n\r\n"),
		"a chunk ended by LF":   head("Transfer-Encoding: chunked\r\n\r\n0\n\n" + inner),
		"a chunk too long":      head("Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + inner),
		"a negative chunk":      head("Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + inner),
		"a chunk in 0x":         head("Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + inner),
		"a folded header":       head("X-Fold: a\r\n Authorization: Bearer marked\r\n\tX-Barong-Role: marked\r\nContent-Length: 0\r\n\r\n"),
		"a folded first header": "POST /api/v2/peatio/public/x HTTP/1.1\r\n Authorization: Bearer marked\r\nHost: gateway.test\r\nContent-Length: 0\r\n\r\n",
		"lines ended by CR":     head("X-A: a\rAuthorization: Bearer marked\rX-B: b\r\nContent-Length: 0\r\n\r\n"),
		"lines ended by LF":     strings.ReplaceAll(head("Authorization: Bearer marked\r\nContent-Length: 0\r\n\r\n"), "\r\n", "\n"),
		"a NUL in a value":      head("X-C: a\x00\r\nAuthorization: Bearer marked\r\nContent-Length: 0\r\n\r\n"),
		"trailers":              head("Transfer-Encoding: chunked\r\nTrailer: Authorization, X-Barong-Role\r\n\r\n0\r\nAuthorization: Bearer marked\r\nX-Barong-Role: marked\r\nJwtrole: marked\r\n\r\n"),
		"one Authorization":     head("Authorization: Bearer marked\r\nContent-Length: 0\r\n\r\n"),
		"two Authorization":     head("Authorization: Bearer marked\r\nauthorization: Basic marked\r\nContent-Length: 0\r\n\r\n"),
		"forged forwarding":     head("X-Forwarded-Uri: /api/v2/marked\r\nX-Forwarded-Uri: /api/v2/marked\r\nX-Forwarded-Method: GET\r\nConnection: X-Forwarded-Uri, X-Forwarded-Method\r\nX-Original-URL: /marked\r\nContent-Length: 0\r\n\r\n"),
		"two hosts":             head("Host: other.test\r\nContent-Length: 0\r\n\r\n"),
		"two requests at once":  head("Content-Length: 0\r\n\r\n" + inner + inner),
	}
	for _, te := range []string{"xchunked", "chunked, identity", "identity, chunked", "chunked, chunked", "Chunked", "\tchunked", "chunked\t", "chunked;q=1", `"chunked"`,
		"gzip, chunked", "\x0bchunked", "chunked\x00", "identity", "", "chun\r\n ked"} {
		attacks[fmt.Sprintf("Transfer-Encoding: %q", te)] = head("Transfer-Encoding: " + te + "\r\n\r\n0\r\n\r\n" + inner)
		attacks[fmt.Sprintf("Transfer-Encoding: %q and a length", te)] = head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: %s\r\n\r\n0\r\n\r\n%s", 5+len(inner), te, inner))
		attacks[fmt.Sprintf("Transfer-Encoding: chunked and %q", te)] = head("Transfer-Encoding: chunked\r\nTransfer-Encoding: " + te + "\r\n\r\n0\r\n\r\n" + inner)
	}
	for _, name := range []string{"Transfer-Encoding ", "Transfer-Encoding\t", " Transfer-Encoding", "Transfer_Encoding", "Transfer.Encoding", "transfer-encoding", "Transfer-Encoding\x00", "X:\r\nTransfer-Encoding"} {
		attacks[fmt.Sprintf("%q", name)] = head(fmt.Sprintf("Content-Length: %d\r\n%s: chunked\r\n\r\n0\r\n\r\n%s", 5+len(inner), name, inner))
	}
	for _, n := range []string{"+0", "-0", "0x0", "00", " 0", "0 ", "0,0", "0;", "\t0", "", "1e0", "0\x00", "18446744073709551616", "0_0"} {
		attacks[fmt.Sprintf("Content-Length: %q", n)] = head("Content-Length: " + n + "\r\n\r\n" + inner)
	}

	for _, kind := range gateways {
		t.Run(kind, func(t *testing.T) {
			up := startRecorder(t)
			places, err := e2e.FreePlaces(s.barong.Addresses, up.addr)
			must(t, err)
			places.Barong.HTTP = up.addr
			p := startProxy(t, kind, places)
			one := map[string]func(){}
			for name, text := range attacks {
				one[name] = func() { sendBytes(t, p, strings.ReplaceAll(text, "/public/x", "/public/"+hexed(name))) }
			}
			unharmed(t, "messages of odd framing through "+kind, up, one)
			if !strings.HasPrefix(kind, "envoy") {
				return // the others speak HTTP/2 over TLS only
			}
			two := map[string]func(){}
			for name, fields := range http2Attacks() {
				for i := range fields {
					fields[i].Value = strings.ReplaceAll(fields[i].Value, "/public/x", "/public/"+hexed(name))
				}
				two[name] = func() { sendHTTP2(t, p, fields) }
			}
			unharmed(t, "odd fields of HTTP/2 through "+kind, up, two)
		})
	}
}

func hexed(name string) string { return fmt.Sprintf("%x", name) }

// unharmed makes all attacks, several at once, and checks the requests that the upstream got of
// each: the path has the attack's name in it.
func unharmed(t *testing.T, what string, up *recorder, attacks map[string]func()) {
	t.Helper()
	up.take()
	slots := make(chan struct{}, 16)
	var all sync.WaitGroup
	for _, attack := range attacks {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			attack()
		})
	}
	all.Wait()
	got := map[string][]recorded{}
	for _, r := range up.take() {
		got[r.target] = append(got[r.target], r)
	}
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		target := "/api/v2/peatio/public/" + hexed(name)
		if len(got[target]) > 1 {
			t.Errorf("%s: the upstream got %d requests", name, len(got[target]))
		}
		for _, r := range got[target] {
			passed++
			// A folded line, and one after a bare CR that is taken out, belong to the header before.
			delete(r.header, "X-Fold")
			delete(r.header, "X-A")
			if strings.Contains(fmt.Sprint(r.header, r.trailer), "marked") || strings.Contains(strings.ReplaceAll(r.head, "\r\n", ""), "\r") {
				t.Errorf("%s: the upstream got %q with trailers %v", name, r.head, r.trailer)
			}
			if n := len(framed.FindAllString(r.head, -1)); n > 1 {
				t.Errorf("%s: the upstream got %d lengths:\n%s", name, n, r.head)
			}
			if v := r.header["Authorization"]; v != nil {
				t.Errorf("%s: the upstream got Authorization %q", name, v)
			}
		}
		delete(got, target)
	}
	for target, r := range got {
		t.Errorf("the upstream got a request for %s:\n%s", target, r[0].head)
	}
	if passed < 5 {
		t.Errorf("%d of %d were passed on: the attacks say little", passed, len(attacks))
	}
	report(fmt.Sprintf("%s: %d passed on as one harmless request, %d refused", what, passed, len(attacks)-passed))
}

// sendBytes sends bytes and reads the answer for up to a second.
func sendBytes(t *testing.T, p serving, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	io.WriteString(conn, text)
	io.Copy(io.Discard, conn)
}

// http2Attacks are lists of fields that HTTP/1.1 would read as something else.
func http2Attacks() map[string][]hpack.HeaderField {
	ordinary := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "gateway.test"}, {Name: ":path", Value: "/api/v2/peatio/public/x"}}
	all := map[string][]hpack.HeaderField{"ordinary": slices.Clone(ordinary)}
	for _, f := range []hpack.HeaderField{
		{Name: "connection", Value: "authorization"}, {Name: "connection", Value: "upgrade"}, {Name: "transfer-encoding", Value: "chunked"}, {Name: "te", Value: "gzip"}, {Name: "te", Value: "trailers"},
		{Name: "upgrade", Value: "h2c"}, {Name: "upgrade", Value: "websocket"}, {Name: "http2-settings", Value: "AAMAAABkAAQAAP__"}, {Name: "keep-alive", Value: "x"}, {Name: "proxy-connection", Value: "authorization"},
		{Name: "host", Value: "marked.test"}, {Name: "content-length", Value: "5"}, {Name: "Authorization", Value: "Bearer marked"}, {Name: "authorization", Value: "Bearer marked"}, {Name: "x_barong_role", Value: "marked"},
		{Name: "x.barong.role", Value: "marked"}, {Name: "x-a\r\nauthorization", Value: "marked"}, {Name: "x-c", Value: "a\r\nauthorization: Bearer marked"}, {Name: "x-c", Value: "a\nauthorization: marked"},
		{Name: "x-a: authorization", Value: "marked"}, {Name: "x a", Value: "marked"}, {Name: "", Value: "marked"}, {Name: ":path", Value: "/api/v2/peatio/management/smuggled"},
		{Name: ":authority", Value: "marked.test"}, {Name: ":method", Value: "POST"}, {Name: ":protocol", Value: "websocket"}, {Name: ":marked", Value: "marked"},
	} {
		all[fmt.Sprintf("%q: %q", f.Name, f.Value)] = append(slices.Clone(ordinary), f)
	}
	for i, values := range map[int][]string{
		0: {"GET /api/v2/peatio/management/smuggled HTTP/1.1\r\nX: ", "get", "CONNECT", ""},
		1: {"https", "http://gateway.test/api/v2/peatio/management/smuggled?", ""},
		2: {"marked.test/api/v2/peatio/management", "gateway.test\r\nX-Barong-Role: marked", "u:p@gateway.test", ""},
		3: {"/api/v2/peatio/public/x HTTP/1.1\r\nX-Barong-Role: marked", "/api/v2/peatio/public/x#/../../management/smuggled", "api/v2/peatio/management/smuggled", "*", "",
			"http://gateway.test/api/v2/peatio/management/smuggled", "/api/v2/peatio/public/x/../../management/smuggled", "/api/v2/peatio/public/x /../../management/smuggled"},
	} {
		for _, value := range values {
			fields := slices.Clone(ordinary)
			fields[i].Value = value
			all[fmt.Sprintf("%s %q", fields[i].Name, value)] = fields
		}
	}
	return all
}

// sendHTTP2 sends one request of these fields, whatever they are, and waits until it is answered,
// reset or refused with the connection.
func sendHTTP2(t *testing.T, p serving, fields []hpack.HeaderField) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		encoder.WriteField(f) // to memory
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			return
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				return
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return
			}
		}
	}
}
