package apitest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"barong/internal/rest/resttest"
)

// shortest is the length from which a text counts as a secret of its own; shorter ones, such as
// one-time codes, are in other texts by chance.
const shortest = 7

// secrets must not be in the log.
type secrets struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *secrets) add(list ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]bool{}
	}
	for _, one := range list {
		if len(one) >= shortest && !secretMembers[one] { // "password" is a password, and a name in every refusal
			s.all[one] = true
		}
	}
}

// in lists those that a text holds.
func (s *secrets) in(text string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.all {
		if strings.Contains(text, one) {
			found = append(found, one)
		}
	}
	return found
}

// Secret adds texts that neither the log nor an event may hold.
func (w *World) Secret(list ...string) { w.secrets.add(list...) }

// searchLog fails the test when the log holds a secret.
func (w *World) searchLog() {
	for _, one := range w.secrets.in(w.Log.String()) {
		w.T.Errorf("the log holds the secret %q", one)
	}
}

// secretMembers are the names of parameters and members that hold secrets.
var secretMembers = map[string]bool{
	"password": true, "new_password": true, "old_password": true, "confirm_password": true,
	"csrf_token": true, "codes": true, "otp_code": true, "secret": true, "id_token": true,
}

// notice collects the secrets of a request and its answer.
func (s *secrets) notice(r *http.Request, sent string, a resttest.Answer) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		s.add(bearer)
	}
	for _, c := range r.Cookies() {
		s.add(c.Value)
	}
	for _, text := range a.Header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(text); err == nil {
			s.add(c.Value)
		}
	}
	s.add(secretsOf(sent)...)
	s.add(secretsOf(a.Body)...)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, _ := url.ParseQuery(sent) // the rest of a form that is none is no form
		for name := range secretMembers {
			s.add(form.Get(name))
		}
	}
}

// secretsOf lists those in a JSON text; none of another text.
func secretsOf(text string) (found []string) {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return walk(v)
}

func walk(v any) (found []string) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			found = append(found, walk(one)...)
		}
	case map[string]any:
		for name, one := range v {
			text, ok := one.(string)
			list, isList := one.([]any)
			switch {
			case isList && secretMembers[name]:
				for _, one := range list {
					text, _ := one.(string)
					found = append(found, text)
				}
			case ok && secretMembers[name]:
				found = append(found, text)
			case ok && strings.HasPrefix(text, "otpauth://"):
				u, _ := url.Parse(text) // ours always parses
				found = append(found, u.Query().Get("secret"))
			default:
				found = append(found, walk(one)...)
			}
		}
	}
	return found
}
