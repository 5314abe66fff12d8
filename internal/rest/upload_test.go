package rest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

type sent struct {
	Files []rest.File `name:"upload" rule:"required" in:"body"`
}

// uploading is a server with one endpoint, which answers with the sums of the files, after wait.
func uploading(t testing.TB, spool string, wait func(context.Context)) *rest.Server {
	t.Helper()
	s := expect.Must(rest.New(rest.Config{Log: discard(), MaxBody: 1 << 20, Spool: spool, Uploads: 3}))(t)
	guard := rest.Guard[string]{
		Admit:     func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil },
		Principal: func(who string) string { return who },
	}
	rest.Add(rest.NewGroup(s, "resource", guard).At("/documents", "document"), rest.Op{
		Method: "POST", Cost: limit.Read, MaxBody: 15 << 20, Summary: "Sum files.",
	}, func(ctx context.Context, _ string, in sent) ([]string, error) {
		var sums []string
		if wait != nil {
			wait(ctx)
		}
		for _, f := range in.Files {
			if f.Content == nil {
				sums = append(sums, "")
				continue
			}
			h := sha256.New()
			if _, err := io.Copy(h, f.Content); err != nil {
				return nil, err
			}
			sums = append(sums, hex.EncodeToString(h.Sum(nil)))
		}
		return sums, ctx.Err()
	})
	return s
}

const documents = "/api/v2/resource/documents"

// bodies are the ways in which clients send a file.
func bodies(file []byte) map[string]struct{ media, body string } {
	text := base64.StdEncoding.EncodeToString(file)
	part := func(head, body string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"upload[]\"" + head + "\r\n\r\n" + body + "\r\n--b--\r\n"
	}
	const form, multi = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
	return map[string]struct{ media, body string }{
		"a file":                 {multi, part(`; filename="a.png"`, string(file))},
		"base64 in a part":       {multi, part("", text)},
		"base64 in JSON":         {"application/json", `{"upload":["` + text + `"]}`},
		"JSON with escapes":      {"", `{"upload":"data:image\/png;base64,` + strings.ReplaceAll(strings.ReplaceAll(text, "/", `\/`), "+", `\u002B`) + `"}`},
		"base64 in a form":       {form, url.Values{"upload": {"data:image/png;base64," + text}}.Encode()},
		"lines of base64":        {multi, part("", lines(text))},
		"the URL-safe alphabet":  {form, "upload[]=" + base64.RawURLEncoding.EncodeToString(file)},
		"JSON with another name": {"application/json", `{"upload[]":"` + text + `"}`},
	}
}

func lines(text string) string {
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text
}

func noise(size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// A file comes out as it was sent, in each way, on each side of the size up to which texts stay in memory, and
// nothing of it is left on the disk.
func TestUploadsArriveWhole(t *testing.T) {
	dir := t.TempDir()
	c := resttest.New(t, uploading(t, dir, nil))
	for _, size := range []int{1, 2, 190_000, 196_608, 196_609, 300_000} {
		file := noise(size)
		want := sha256.Sum256(file)
		for name, b := range bodies(file) {
			c.Send(t, "POST", documents, b.media, b.body).Want(t, 201, fmt.Sprintf("[%q]", hex.EncodeToString(want[:])))
			if left := expect.Must(os.ReadDir(dir))(t); len(left) > 0 {
				t.Fatalf("%s of %d bytes: %d files are left", name, size, len(left))
			}
		}
	}
}

// Ten megabytes cost less than eight of memory, in each way.
func TestUploadsAreNotInMemory(t *testing.T) {
	file := noise(10 << 20)
	s := uploading(t, t.TempDir(), nil)
	for name, b := range bodies(file) {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", documents, strings.NewReader(b.body))
			r.Header.Set("Content-Type", b.media)
			w := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			if w.Code != 201 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			used := after.TotalAlloc - before.TotalAlloc // all of it, collected or not
			t.Logf("%d kB", used>>10)
			if used > 8<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// The disk is ours to keep in order: a client gets an outage, and may try again.
func TestUploadsWithoutADisk(t *testing.T) {
	c := resttest.New(t, uploading(t, t.TempDir()+"/none", nil))
	b := bodies(noise(300_000))["base64 in JSON"]
	c.Send(t, "POST", documents, b.media, b.body).WantTokens(t, 503, "server.internal_error")
	c.Send(t, "POST", documents, "application/json", `{"upload":"YQ=="}`).Want(t, 201, `["ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"]`)
}

func TestUploadsThatAreTooLarge(t *testing.T) {
	dir := t.TempDir()
	c := resttest.New(t, uploading(t, dir, nil))
	for name, b := range bodies(noise(16 << 20)) {
		if a := c.Send(t, "POST", documents, b.media, b.body); a.Status != 413 {
			t.Errorf("%s: %d %s, want 413", name, a.Status, a.Body)
		}
	}
	if left := expect.Must(os.ReadDir(dir))(t); len(left) > 0 {
		t.Errorf("%d files are left", len(left))
	}
}

// One account has four uploads under way, and the process has three in this test: the fourth waits for its turn.
func TestUploadsTakeTurns(t *testing.T) {
	inside, going := make(chan struct{}, 8), make(chan struct{})
	s := uploading(t, t.TempDir(), func(context.Context) { inside <- struct{}{}; <-going })
	answers := make(chan int, 8)
	send := func(who string) {
		r := httptest.NewRequest("POST", documents, strings.NewReader(`{"upload":"YQ=="}`))
		r.Header.Set("X-User", who)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		answers <- w.Code
	}
	for range 3 {
		go send("one")
		<-inside
	}
	go send("one")
	time.Sleep(50 * time.Millisecond) // it is in the queue by then, or the next is
	send("one")
	if code := <-answers; code != 429 {
		t.Fatalf("a fifth upload of one account: %d, want 429", code)
	}
	go send("two")
	close(going)
	for range 5 {
		if code := <-answers; code != 201 {
			t.Errorf("%d, want 201", code)
		}
	}
}

// A body that comes slowly has more time than the server gives others, and its handler a context of its own.
func TestUploadsMayBeSlow(t *testing.T) {
	var alive atomic.Bool
	s := uploading(t, t.TempDir(), func(ctx context.Context) { alive.Store(ctx.Err() == nil) })
	server := httptest.NewUnstartedServer(s)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	server.Start()
	defer server.Close()
	body, in := io.Pipe()
	go func() {
		for _, part := range []string{`{"upload":`, `"YQ`, `=="`, `}`} {
			time.Sleep(150 * time.Millisecond)
			_, _ = io.WriteString(in, part)
		}
		_ = in.Close()
	}()
	r := expect.Must(http.NewRequest("POST", server.URL+documents, body))(t)
	answer := expect.Must(http.DefaultClient.Do(r))(t)
	defer answer.Body.Close()
	text := expect.Must(io.ReadAll(answer.Body))(t)
	if answer.StatusCode != 201 || !bytes.Contains(text, []byte("ca978112")) || !alive.Load() {
		t.Errorf("%d %s, context alive: %v", answer.StatusCode, text, alive.Load())
	}
}
