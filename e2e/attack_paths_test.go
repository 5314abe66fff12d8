package e2e_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"barong/e2e"
)

// TestServedAsJudged sends the paths of the corpus and a grammar of odd ones through every proxy,
// byte for byte, and puts the paths that the upstream got to upstreams that clean, decode and fold
// in ways of their own. Each allowed path must be served as an allowed one, too: the test asks
// Barong about each place that an upstream would route to.
func TestServedAsJudged(t *testing.T) {
	s := startStack(t)
	const from = "X-Forwarded-For: 192.0.2.77\n"
	admin := signIn(t, listener(s.barong.HTTP), "admin", strings.TrimSpace(from))
	callers := map[string]string{"admin": from + admin.lines() + "\n", "nobody": from + "User-Agent: e2e\n"}
	paths := oddPaths(t)
	readers := startReaders(t)

	verdicts := map[string]bool{}
	oracle := func(caller, resource string) bool {
		place, routed := placeOf(resource)
		if !routed {
			return true // nothing is there
		}
		key := caller + " " + place
		allowed, known := verdicts[key]
		if !known {
			got := raw(t, listener(s.barong.Forward), "GET /verify/nginx HTTP/1.1\nX-Forwarded-Method: GET\nX-Forwarded-Uri: "+
				place+"\n"+callers[caller])
			allowed = got.status == http.StatusOK
			verdicts[key] = allowed
		}
		return allowed
	}
	for caller, want := range map[string]map[string]bool{
		"admin":  {"/api/v2/peatio/admin/x": true, "/api/v2/peatio/admin/withdraws": false, "/api/v2/peatio/management/x": false},
		"nobody": {"/api/v2/peatio/public/x": true, "/api/v2/peatio/account/x": false, "/api/v2/peatio/management/x": false},
	} {
		for resource, allowed := range want {
			if got := oracle(caller, resource); got != allowed {
				t.Fatalf("%s asks for %s: allowed %v, want %v", caller, resource, got, allowed)
			}
		}
	}

	for _, kind := range gateways {
		t.Run(kind, func(t *testing.T) {
			began := time.Now()
			up := startTargets(t)
			places, err := e2e.FreePlaces(s.barong.Addresses, up)
			must(t, err)
			places.Barong.HTTP = up
			places.Edit = func(kind string, file []byte) []byte { return balanced(t, kind, file) }
			p := startProxy(t, kind, places)
			for _, caller := range slices.Sorted(maps.Keys(callers)) {
				got := sendAll(strings.TrimPrefix(p.URL(), "http://"), paths, callers[caller])
				served := map[string]string{} // path at the upstream → path as sent
				for i, a := range got {
					if target, err := hex.DecodeString(a.body); a.status == http.StatusOK && err == nil {
						served[string(target)] = paths[i]
					}
				}
				targets := slices.Sorted(maps.Keys(served))
				wrong := 0
				for _, reader := range slices.Sorted(maps.Keys(readers)) {
					for i, a := range sendAll(readers[reader], targets, "") {
						for _, resource := range readings(a) {
							if oracle(caller, resource) {
								continue
							}
							if wrong++; wrong <= 10 {
								t.Errorf("%s sent %q, the upstream got %q, which %s serves as %q: denied there",
									caller, served[targets[i]], targets[i], reader, resource)
							}
						}
					}
				}
				if len(targets) < 30 {
					t.Errorf("%s: only %d of %d paths were allowed: the comparison says little", caller, len(targets), len(paths))
				}
				report(fmt.Sprintf("paths through %s by %s: %d sent, %d different targets allowed, %d served as another resource that is denied, in %.1f s",
					kind, caller, len(paths), len(targets), wrong, time.Since(began).Seconds()))
			}
		})
	}
}

// readings are the resources that an upstream named, and those that a router would find that folds
// case or drops a format.
func readings(a answer) (all []string) {
	if a.status != http.StatusOK {
		return nil
	}
	for line := range strings.Lines(a.body) {
		b, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil || len(b) == 0 {
			continue
		}
		resource := string(b)
		all = append(all, resource, strings.ToLower(resource), strings.ToLower(strings.ToUpper(resource)))
		if ext := path.Ext(resource); ext != "" && ext != resource && !strings.HasSuffix(resource, "/"+ext) {
			all = append(all, strings.TrimSuffix(resource, ext))
		}
	}
	return all
}

// placeOf is where a router finds a resource: below the same segments, in a spelling that can be
// read in one way only. Its odd segments match only a wildcard of a route. It is false for a path
// outside every component.
func placeOf(resource string) (string, bool) {
	segments := strings.Split(strings.TrimPrefix(strings.TrimSuffix(resource, "/"), "/"), "/")
	for i, segment := range segments {
		if segment == "" || segment == "." || segment == ".." {
			segments[i] = "x"
			continue
		}
		segments[i] = strings.Map(func(c rune) rune {
			if c < 0x80 && (c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
				return c
			}
			return 'x'
		}, segment)
	}
	components := []string{"barong", "peatio", "applogic", "arke", "finex", "ranger"}
	routed := len(segments) > 3 && segments[0] == "api" && segments[1] == "v2" && slices.Contains(components, segments[2])
	return "/" + strings.Join(segments, "/"), routed
}

// oddPaths are the targets of the corpus, and ways from an allowed path to a denied one.
func oddPaths(t *testing.T) []string {
	var all []string
	for _, f := range corpus(t) {
		for _, c := range f.Cases {
			for _, step := range c.All() {
				all = append(all, step.Request.Path)
			}
		}
	}
	signs := []string{"", "/", "//", ".", "..", "...", "|", `"`, "<", ">", " ", "\t", "\x01", "\x7f", "é", "\xff", "／", "．", "\u2028"}
	for c := byte('!'); c <= '~'; c++ {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			signs = append(signs, string(c), fmt.Sprintf("%%%02x", c), fmt.Sprintf("%%25%02X", c))
		}
	}
	for _, c := range []string{"00", "01", "09", "0a", "0d", "20", "7f", "80", "ff", "c0%af", "c0%ae", "e0%80%af", "ef%bc%8f", "c3%a9", "u002f", "zz", "2", ""} {
		signs = append(signs, "%"+c)
	}
	ups := []string{"/../", "/%2e%2e/", "/.%2E/", "/..;/", "/..;x=y/", "/..%2f", "/%2e%2e%2f", `\..\`, `/..\`, "%5c..%5c", "/．．/", "/%252e%252e/", "/..%00/",
		"/.../", "/..%09/", "/..%20/", "/.. /", "/./../", "//../", "/..//", "/../../", "/.//../", "/..#/", "/..?/", "/..%23/", "/..%3f/"}
	for decoy, goals := range map[string][]string{
		"/api/v2/peatio/admin/x":  {"withdraws", "../management/users"},
		"/api/v2/peatio/public/x": {"../account/balances", "../management/users"},
	} {
		for _, goal := range goals {
			for _, sign := range signs {
				for _, up := range ups {
					all = append(all, decoy+sign+up+goal)
				}
			}
		}
	}
	for _, denied := range []string{"/api/v2/peatio/admin/withdraws", "/api/v2/peatio/management/users", "/api/v2/peatio/account/balances"} {
		for _, sign := range signs {
			i := strings.LastIndexByte(denied, '/')
			all = append(all, denied+sign, denied+sign+"x", denied+"/"+sign, denied[:i]+sign+denied[i:], denied[:i+1]+sign+denied[i+1:],
				denied[:4]+sign+denied[4:], sign+denied, denied+"."+sign, denied+sign+"?q=/api/v2/peatio/public/x")
		}
		for i := range denied[1:] {
			c := denied[1+i]
			all = append(all, denied[:1+i]+fmt.Sprintf("%%%02x", c)+denied[2+i:], denied[:1+i]+fmt.Sprintf("%%%02X", c)+denied[2+i:],
				denied[:1+i]+fmt.Sprintf("%%25%02x", c)+denied[2+i:], denied[:1+i]+strings.ToUpper(string(c))+denied[2+i:])
			for _, twin := range map[byte][]string{'i': {"İ", "ı"}, 's': {"ſ"}, 'k': {"\u212a"}}[c] {
				all = append(all, denied[:1+i]+twin+denied[2+i:], denied[:1+i]+url.PathEscape(twin)+denied[2+i:])
			}
		}
		all = append(all, strings.ToUpper(denied), strings.ToUpper(denied[:15])+denied[15:], denied[:15]+strings.ToUpper(denied[15:]),
			denied+".json", denied+".JSON", denied+".json.xml", denied+"/1.json")
		for _, authority := range []string{"http://gateway.test", "HTTP://gateway.test", "http://gateway.test:80", "http://other.test", "http://u:p@gateway.test",
			"http://gateway.test@other.test", "//gateway.test", "//other.test/..", "///", "http:", "http:/", "http://", "gateway.test", "http://gateway.test/api/v2/peatio/public/x?",
			"http://gateway.test/api/v2/peatio/public/x#", "https://gateway.test", "ftp://gateway.test", `http:\\gateway.test`, "http://gateway.test?", "http://gateway.test#",
			"http://gateway.test;", "*", "/*", "?", "#", "/?", "/#"} {
			all = append(all, authority+denied)
		}
		for _, n := range []int{1 << 10, 4 << 10, 8<<10 - 40, 8 << 10, 9 << 10} {
			all = append(all, "/api/v2/peatio/public/"+strings.Repeat("x", n)+"/../.."+strings.TrimPrefix(denied, "/api/v2/peatio"),
				"/api/v2/peatio/public/x#"+strings.Repeat("x", n)+"/../.."+strings.TrimPrefix(denied, "/api/v2/peatio"),
				"/api/v2/peatio/public/"+strings.Repeat("x", n))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	// A line feed would be another request: that is the subject of other tests.
	return slices.DeleteFunc(all, func(p string) bool { return strings.ContainsAny(p, "\r\n") || p == "" })
}

// sendAll asks for every target, over a few connections at once that are kept open as long as
// the other side likes. A request without an answer has status 0.
func sendAll(addr string, targets []string, lines string) []answer {
	got := make([]answer, len(targets))
	next := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			var conn net.Conn
			var in *bufio.Reader
			for i := range next {
				for try := range 2 {
					if conn == nil {
						var err error
						if conn, err = net.Dial("tcp", addr); err != nil {
							conn = nil
							break
						}
						in = bufio.NewReader(conn)
						try = 1
					}
					conn.SetDeadline(time.Now().Add(10 * time.Second))
					io.WriteString(conn, "GET "+targets[i]+" HTTP/1.1\r\nHost: gateway.test\r\n"+strings.ReplaceAll(lines, "\n", "\r\n")+"\r\n")
					resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
					var body []byte
					if err == nil {
						body, err = io.ReadAll(resp.Body)
					}
					if err == nil {
						got[i] = answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
					}
					if err != nil || resp.Close || resp.ContentLength < 0 {
						conn.Close()
						conn = nil
					}
					// A connection that was open before may have been closed meanwhile.
					if err == nil || try == 1 {
						break
					}
				}
			}
			if conn != nil {
				conn.Close()
			}
		})
	}
	for i := range targets {
		next <- i
	}
	close(next)
	workers.Wait()
	return got
}

// startTargets is an upstream that answers with the target of the request line, in hex, whatever
// bytes are in it.
func startTargets(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					for head := ""; head != "\r\n"; {
						if head, err = in.ReadString('\n'); err != nil {
							return
						}
					}
					_, target, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
					if i := strings.LastIndexByte(target, ' '); i >= 0 {
						target = target[:i]
					}
					body := hex.EncodeToString([]byte(target))
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// startReaders are upstreams of several kinds. Each answers with the resources that it would
// route to, in hex, by line; a path that it refuses or redirects is not served.
func startReaders(t *testing.T) map[string]string {
	t.Helper()
	say := func(w io.Writer, resources ...string) {
		for _, r := range resources {
			fmt.Fprintln(w, hex.EncodeToString([]byte(r)))
		}
	}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { say(w, r.URL.Path) })
	engine := func(rawPath bool) http.Handler {
		e := gin.New()
		e.RemoveExtraSlash, e.UseRawPath = true, rawPath
		e.GET("/*path", func(c *gin.Context) { say(c.Writer, c.Param("path")) })
		return e
	}
	gin.SetMode(gin.ReleaseMode)
	readers := map[string]string{
		"net/http's ServeMux": serve(mux),
		"a Go handler that cleans": serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target, _, _ := strings.Cut(r.RequestURI, "?")
			say(w, path.Clean(r.URL.Path), path.Clean(target))
		})),
		// As servlet containers do: parameters of segments go, then the rest is decoded and cleaned.
		"a servlet container": serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target, _, _ := strings.Cut(r.RequestURI, "?")
			segments := strings.Split(target, "/")
			for i := range segments {
				segments[i], _, _ = strings.Cut(segments[i], ";")
			}
			if decoded, err := url.PathUnescape(strings.Join(segments, "/")); err == nil {
				say(w, decoded, path.Clean(decoded))
			}
		})),
		"gin with RemoveExtraSlash":                serve(engine(false)),
		"gin with RemoveExtraSlash and UseRawPath": serve(engine(true)),
	}
	for name, command := range map[string][]string{
		"Node's URL":    {"node", "upstream.mjs"},
		"Python's WSGI": {"python3", "upstream.py"},
	} {
		bin, err := exec.LookPath(command[0])
		if err != nil {
			report("NOT RUN: " + name + ": no " + command[0] + " on this machine")
			continue
		}
		cmd := exec.Command(bin, filepath.Join(root(t), "e2e", "testdata", command[1]))
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		addr, err := bufio.NewReader(out).ReadString('\n')
		must(t, err)
		readers[name] = strings.TrimSpace(addr)
	}
	return readers
}
