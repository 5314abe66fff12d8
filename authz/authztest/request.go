package authztest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Question is a request with everything filled in, ready to be put into the words of a
// protocol.
type Question struct {
	Method, Target, Host, Peer string
	// Headers in order, names as written.
	Headers []Header
	Body    string
}

// A Header is one header line.
type Header struct{ Name, Value string }

// Question fills in r: defaults, cookies, and the signature at the time of the world's
// clock.
func (f *File) Question(r Request, now time.Time) (Question, error) {
	q := Question{
		Method: or(r.Method, "GET"), Target: r.Path, Host: or(r.Host, Host), Peer: or(r.Peer, "127.0.0.1"),
		Body: r.Body,
	}
	add := func(name, value string) { q.Headers = append(q.Headers, Header{name, value}) }
	if r.Peer == "" {
		add("X-Forwarded-For", or(r.Client, Client))
	} else if r.Client != "" {
		return q, fmt.Errorf("client and peer exclude each other")
	}
	if r.UserAgent == nil {
		add("User-Agent", UserAgent)
	} else if *r.UserAgent != "" {
		add("User-Agent", *r.UserAgent)
	}
	name := or(f.Settings.SessionName, "_barong_session")
	if r.Session != "" {
		add("Cookie", name+"="+Cookie(r.Session))
	}
	if r.Cookies != "" {
		add("Cookie", macro.ReplaceAllStringFunc(r.Cookies, func(m string) string { return Cookie(m[1 : len(m)-1]) }))
	}
	if r.CSRF != "" {
		add("X-CSRF-Token", CSRFToken(r.CSRF))
	}
	if r.Sign != nil {
		nonce, signature, err := f.signature(*r.Sign, now)
		if err != nil {
			return q, err
		}
		add("X-Auth-Apikey", r.Sign.Kid)
		add("X-Auth-Nonce", nonce)
		add("X-Auth-Signature", signature)
	}
	for _, line := range r.Headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return q, fmt.Errorf("header %q has no colon", line)
		}
		add(name, strings.TrimPrefix(value, " "))
	}
	return q, nil
}

// macro is {name} in a Cookie header.
var macro = regexp.MustCompile(`\{[a-z0-9_-]+\}`)

func (f *File) signature(s Sign, now time.Time) (nonce, signature string, err error) {
	nonce = or(s.Nonce, "now")
	if rest, ok := strings.CutPrefix(nonce, "now"); ok {
		var offset int64
		if rest != "" {
			if offset, err = strconv.ParseInt(rest, 10, 64); err != nil {
				return "", "", fmt.Errorf("nonce %q: %w", nonce, err)
			}
		}
		nonce = strconv.FormatInt(now.UnixMilli()+offset, 10)
	}
	secret := s.Secret
	for _, k := range f.Accounts.APIKeys {
		if k.Kid == s.Kid && secret == "" {
			secret = k.Secret
		}
	}
	mac := hmac.New(sha256.New, []byte(or(secret, Secret)))
	mac.Write([]byte(nonce + s.Kid))
	right := hex.EncodeToString(mac.Sum(nil))
	if s.Signature != nil {
		return nonce, strings.ReplaceAll(*s.Signature, "{upper}", strings.ToUpper(right)), nil
	}
	return nonce, right, nil
}

// or is value, or otherwise when it is empty.
func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
