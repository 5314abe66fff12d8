package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/provider/s3"
)

const (
	bucket    = "documents"
	accessKey = "AKIAhunter2id"
	secretKey = "hunter2secret"
)

// A server is an S3 service of this process; before may answer in its place.
type server struct {
	url     string
	backend *s3mem.Backend
	before  atomic.Pointer[func(http.ResponseWriter, *http.Request) (answered bool)]
	puts    atomic.Int64
}

func serve(t testing.TB) *server {
	t.Helper()
	s := &server{backend: s3mem.New()}
	must(t, s.backend.CreateBucket(bucket))
	real := gofakes3.New(s.backend).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			s.puts.Add(1)
		}
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+accessKey+"/") {
			t.Errorf("%s %s is not signed", r.Method, r.URL)
		}
		if f := s.before.Load(); f != nil && (*f)(w, r) {
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// instead has f answer requests, as long as it returns true.
func (s *server) instead(f func(http.ResponseWriter, *http.Request) bool) { s.before.Store(&f) }

func (s *server) config() s3.Config {
	return s3.Config{
		Endpoint: s.url, Region: "eu-central-1", Bucket: bucket, Prefix: "barong/kyc", AccessKey: accessKey, SecretKey: secretKey,
		Timeout: 10 * time.Second,
	}
}

func (s *server) files(t testing.TB, change ...func(*s3.Config)) *s3.Files {
	t.Helper()
	c := s.config()
	for _, f := range change {
		f(&c)
	}
	files, err := s3.New(c, nil)
	must(t, err)
	return files
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	for name, prefix := range map[string]string{"with a prefix": "barong/kyc", "without": ""} {
		t.Run(name, func(t *testing.T) {
			persontest.TestFiles(t, func(t testing.TB) person.Files {
				return serve(t).files(t, func(c *s3.Config) { c.Prefix = prefix })
			})
		})
	}
}

func TestTheObjectSaysWhatItIs(t *testing.T) {
	s := serve(t)
	must(t, s.files(t).Put(t.Context(), "ID1/2/x", "application/pdf", 4, strings.NewReader("%PDF")))
	o, err := s.backend.GetObject(bucket, "barong/kyc/ID1/2/x", nil)
	must(t, err)
	defer o.Contents.Close()
	if got := o.Metadata["Content-Type"]; got != "application/pdf" {
		t.Errorf("content type %q", got)
	}
}

// Objects of others in the bucket are neither listed nor reached, over more than one page.
func TestOnlyOurObjectsAreListed(t *testing.T) {
	s := serve(t)
	add := func(key string) {
		_, err := s.backend.PutObject(bucket, key, map[string]string{}, strings.NewReader("x"), 1, nil)
		must(t, err)
	}
	for i := range 2300 {
		add(fmt.Sprintf("barong/kyc/ID%d/1/x", i))
	}
	for _, foreign := range []string{"ID1/1/x", "barong/kyc/readme.txt", "barong/kyc/a/b/c/d", "barong/kycID1/1/x", "other/ID1/1/x"} {
		add(foreign)
	}
	seen := map[string]bool{}
	must(t, s.files(t).Names(t.Context(), func(name string, _ time.Time) bool {
		seen[name] = true
		return true
	}))
	if len(seen) != 2300 || !seen["ID0/1/x"] || !seen["ID2299/1/x"] {
		t.Errorf("%d are listed, want 2300", len(seen))
	}
}

// unavailable answers so many requests with 503.
func unavailable(n int64) func(http.ResponseWriter, *http.Request) bool {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) bool {
		if seen.Add(1) > n {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<Error><Code>SlowDown</Code><Message>hunter2 of ID1</Message></Error>`)
		return true
	}
}

func TestRetriesAreBounded(t *testing.T) {
	s := serve(t)
	f := s.files(t)
	content := bytes.Repeat([]byte("x"), 200_000)
	later := bytes.NewReader(append([]byte("skipped"), content...))
	_, err := later.Seek(7, io.SeekStart)
	must(t, err)

	s.instead(unavailable(2))
	must(t, f.Put(t.Context(), "ID1/1/a", "image/png", 200_000, later))
	if n := s.puts.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	r, err := f.Open(t.Context(), "ID1/1/a")
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, content) {
		t.Errorf("kept are %d bytes that were not put", len(got))
	}

	s.instead(unavailable(1000))
	s.puts.Store(0)
	if f.Put(t.Context(), "ID1/1/b", "image/png", 200_000, bytes.NewReader(content)) == nil || s.puts.Load() != 3 {
		t.Errorf("%d requests for content that is never taken, want 3 and an error", s.puts.Load())
	}
	s.puts.Store(0)
	s.instead(unavailable(1))
	if f.Put(t.Context(), "ID1/1/c", "image/png", 200_000, iotest.OneByteReader(bytes.NewReader(content))) == nil || s.puts.Load() != 1 {
		t.Errorf("%d requests for a stream, want 1 and an error", s.puts.Load())
	}
}

// Every odd answer is an error, says nothing of us, the person or the answer, and is never ErrNoFile.
func TestOddAnswers(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"no rights": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<Error><Code>InvalidAccessKeyId</Code><Message>`+accessKey+`</Message><AWSAccessKeyId>`+accessKey+`</AWSAccessKeyId></Error>`)
		},
		"a code that is none": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `<Error><Code>hunter2 ID1</Code></Error>`)
		},
		"no bucket": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `<Error><Code>NoSuchBucket</Code><Message>hunter2</Message></Error>`)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, `<html>hunter2</html>`)
		},
		"a redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/hunter2")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"an end": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<Error><Code>hunter2`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			f := s.files(t)
			must(t, f.Put(t.Context(), "ID1/1/a", "image/png", 1, strings.NewReader("x")))
			s.instead(func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w, r)
				return true
			})
			_, opened := f.Open(t.Context(), "ID1/1/a")
			for verb, err := range map[string]error{
				"put": f.Put(t.Context(), "ID1/1/b", "image/png", 1, strings.NewReader("x")), "open": opened,
				"delete": f.Delete(t.Context(), "ID1/1/a"),
				"list":   f.Names(t.Context(), func(string, time.Time) bool { return true }),
			} {
				if err == nil || errors.Is(err, person.ErrNoFile) {
					t.Errorf("%s: %v, want another error", verb, err)
				}
				for _, word := range []string{"hunter2", "ID1", accessKey} {
					if strings.Contains(fmt.Sprint(err), word) {
						t.Errorf("%s: the error says %q: %v", verb, word, err)
					}
				}
			}
		})
	}
}

// A file that is cut short, and one that stops coming, end in an error: the reader never takes a part
// for the whole.
func TestHalfAFile(t *testing.T) {
	s := serve(t)
	f := s.files(t, func(c *s3.Config) { c.Timeout = time.Second })
	hang := make(chan struct{})
	defer close(hang)
	for name, after := range map[string]func(){"cut short": func() { panic(http.ErrAbortHandler) }, "stopped": func() { <-hang }} {
		s.instead(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("ETag", `"x"`)
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			after()
			return true
		})
		r, err := f.Open(t.Context(), "ID1/1/a")
		must(t, err)
		if got, err := io.ReadAll(r); err == nil || string(got) != "half" {
			t.Errorf("%s: %q (%v), want half and an error", name, got, err)
		}
		must(t, r.Close())
	}
}

func TestCallsEndInTime(t *testing.T) {
	s := serve(t)
	f := s.files(t, func(c *s3.Config) { c.Timeout = time.Second })
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return true
	})
	for verb, call := range map[string]func(context.Context) error{
		"put": func(ctx context.Context) error {
			return f.Put(ctx, "ID1/1/b", "image/png", 1, strings.NewReader("x"))
		},
		"open": func(ctx context.Context) error {
			_, err := f.Open(ctx, "ID1/1/a")
			return err
		},
		"delete": func(ctx context.Context) error { return f.Delete(ctx, "ID1/1/a") },
		"list":   func(ctx context.Context) error { return f.Names(ctx, func(string, time.Time) bool { return true }) },
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			err := call(context.Background())
			if took := time.Since(begin); err == nil || took > 8*time.Second || took < time.Second {
				t.Errorf("%v after %v, want an error after a second", err, took)
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	good := s3.Config{
		Endpoint: "https://s3.amazonaws.com", Bucket: bucket, AccessKey: accessKey, SecretKey: secretKey, Timeout: time.Second,
	}
	must(t, good.Validate())
	for want, change := range map[string]func(*s3.Config){
		"endpoint must be https": func(c *s3.Config) { c.Endpoint = "http://s3.example.com" },
		"endpoint is not":        func(c *s3.Config) { c.Endpoint = "" },
		"endpoint has a path":    func(c *s3.Config) { c.Endpoint = "https://s3.example.com/documents" },
		"endpoint must have no":  func(c *s3.Config) { c.Endpoint = "https://hunter2:hunter2@s3.example.com" },
		"bucket has no valid":    func(c *s3.Config) { c.Bucket = "../hunter2" },
		"prefix must be words":   func(c *s3.Config) { c.Prefix = "../hunter2" },
		"secret key are":         func(c *s3.Config) { c.SecretKey = "" },
		"access key and":         func(c *s3.Config) { c.AccessKey = "" },
		"timeout is 1ms":         func(c *s3.Config) { c.Timeout = time.Millisecond },
	} {
		c := good
		change(&c)
		_, err := s3.New(c, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want an error that says %q and no secret", err, want)
		}
	}
}
