package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"barong/e2e"
)

// TestEnvoyBoundsNetworks: Envoy bounds the requests of a /64 of IPv6, which one customer has, and
// of a single address of IPv4.
func TestEnvoyBoundsNetworks(t *testing.T) {
	s := startStack(t)
	places, err := e2e.FreePlaces(s.barong.Addresses, s.echo)
	must(t, err)
	places.Edit = func(_ string, file []byte) []byte {
		for shipped, here := range map[string]string{
			"xff_num_trusted_hops: 0":                                   "xff_num_trusted_hops: 1", // the test is a load balancer
			"max_tokens: 2000, tokens_per_fill: 500, fill_interval: 1s": "max_tokens: 3, tokens_per_fill: 1, fill_interval: 600s",
		} {
			if bytes.Count(file, []byte(shipped)) != 1 {
				t.Fatalf("the shipped file has not exactly one %q", shipped)
			}
			file = bytes.Replace(file, []byte(shipped), []byte(here), 1)
		}
		return file
	}
	p := startProxy(t, "envoy", places)
	passed := func(address string) (n int) {
		for i := range 5 {
			got := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\nUser-Agent: e2e\nX-Forwarded-For: "+fmt.Sprintf(address, i+1))
			switch got.status {
			case http.StatusOK:
				n++
			case http.StatusTooManyRequests:
			default:
				t.Errorf(address+": got %d %s", i+1, got.status, got.body)
			}
		}
		return n
	}
	for address, want := range map[string]int{
		"2001:db8:1:1::%d": 3, "2001:db8:1:2:%d::1": 3, // of one network
		"2001:db8:2:%d::1": 5, "192.0.2.%d": 5, // each a client of its own
	} {
		if got := passed(address); got != want {
			t.Errorf(address+" and so on: %d of 5 passed, want %d", 1, got, want)
		}
	}
}
