package captcha

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Whatever a service answers, only an object with status 200 and a true success is a pass, and
// with configured hosts only one that names such a host.
func FuzzParseVerdict(f *testing.F) {
	f.Add(200, []byte(`{"success":true,"hostname":"a.example","error-codes":[]}`))
	f.Add(200, []byte(`{"success":false,"error-codes":["invalid-input-secret"]}`))
	f.Add(400, []byte(`{"success":true,"score":0.5}`))
	f.Add(500, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		v, err := parseVerdict(status, body)
		if err != nil {
			return
		}
		s := &SiteVerify{config: SiteVerifyConfig{Service: Turnstile}}
		if s.judge(v) != nil {
			return
		}
		var members map[string]any
		if status != http.StatusOK || json.Unmarshal(body, &members) != nil || !*v.Success {
			t.Errorf("status %d with %q passes", status, body)
		}
		s.config.Hosts = []string{"a.example"}
		if err := s.judge(v); (err == nil) != strings.EqualFold(v.Hostname, "a.example") {
			t.Errorf("host %q: %v", v.Hostname, err)
		}
	})
}
