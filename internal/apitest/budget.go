package apitest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"barong/internal/limit"
)

// exhausted is a store whose buckets are all empty.
type exhausted struct{ limit.Memory }

func (*exhausted) Take(context.Context, string, limit.Rule, time.Time) (time.Duration, error) {
	return 90 * time.Second, nil
}

// TestBudgets holds every endpoint of some namespaces to asking for its caller's budget before
// anything else, under every prefix.
func TestBudgets(t *testing.T, namespaces ...string) {
	w := New(t)
	w.Spent = new(exhausted)
	c := w.Client()
	all := c.Endpoints(namespaces...)
	if len(all) == 0 {
		t.Error("no endpoint was asked")
	}
	for _, e := range all {
		for _, prefix := range c.Prefixes() {
			a := c.Send(t, e.Method, prefix+e.Path, "", "")
			if a.Status != http.StatusTooManyRequests || !strings.HasSuffix(a.Body, `.too_many_requests"]}`) ||
				a.Header.Get("Retry-After") != "90" {
				t.Errorf("%s %s%s: %d %s, Retry-After %q; want 429", e.Method, prefix, e.Path, a.Status, a.Body, a.Header.Get("Retry-After"))
			}
		}
	}
}
