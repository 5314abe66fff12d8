package captcha_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// fake is an outside service that gives set answers and remembers its questions.
type fake struct {
	*httptest.Server
	status int
	body   string

	mu    sync.Mutex
	calls []call
}

type call struct {
	method, path, query string
	form                url.Values
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{status: http.StatusOK}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		f.mu.Lock()
		f.calls = append(f.calls, call{r.Method, r.URL.Path, r.URL.RawQuery, form})
		status, answer := f.status, f.body
		f.mu.Unlock()
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(f.Close)
	return f
}

// answers sets the next answers and forgets the calls.
func (f *fake) answers(status int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.body, f.calls = status, body, nil
}

func (f *fake) asked() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}
