// Package authztest reads the decision corpus: YAML files that hold a policy, some accounts,
// requests and the answers that they must get. authz replays them on decide, over gRPC
// and over forward-auth; e2e replays them through a real Envoy.
//
// A file is one small world and the cases tried in it. Every case starts with a fresh copy
// of the world; the steps of a case share it and run in order.
//
//	about: the subject of the file, one sentence
//	rules: [AZ-43, FX-5]            # the rules that these cases prove
//	settings: {csrf_protection: false}   # keys of barong.yaml that differ from the default
//	policy:
//	  permissions: ["member ACCEPT ALL api/v2/peatio/market"]   # role action verb path [topic]
//	  restrictions: [{category: blacklist, scope: ip, value: 192.0.2.1, code: 433}]
//	  pass: [api/v2/barong/public]
//	  block: [api/v2/barong/management]
//	accounts:
//	  users: [{uid: ID1, role: member, otp: true}]
//	  sessions: [{name: home, user: ID1}]
//	  api_keys: [{kid: 61d025b8573501c2, holder: ID1}]
//	cases:
//	  - name: a sentence that is true when the case passes
//	    request: {method: GET, path: /api/v2/peatio/market/orders, session: home}
//	    expect: {status: 200, claims: {uid: ID1}}
package authztest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"barong/internal/config"
)

// A File is one file of the corpus.
type File struct {
	Name string `yaml:"-"` // base name without .yaml
	// Applied are the default settings with those of Settings in their place.
	Applied  config.Settings `yaml:"-"`
	About    string          `yaml:"about"`
	Rules    []string        `yaml:"rules"`
	Settings Settings        `yaml:"settings"`
	Policy   Policy          `yaml:"policy"`
	Accounts Accounts        `yaml:"accounts"`
	// Now is the clock at the start of every case; the zero value is Epoch.
	Now   time.Time `yaml:"now"`
	Cases []Case    `yaml:"cases"`
	// Envoy says how the whole file fares behind a real Envoy; see Envoy.
	Envoy *Envoy `yaml:"envoy"`
}

// Epoch is the time of worlds that do not say one.
var Epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// Settings are the keys of barong.yaml that a file may set. Those left out have their
// shipped default.
type Settings struct {
	CSRFProtection     *bool     `yaml:"csrf_protection,omitempty"`
	GatewayComponents  []string  `yaml:"gateway_components,omitempty"`
	PathMatching       string    `yaml:"path_matching,omitempty"`
	RBACDeniedStatus   int       `yaml:"rbac_denied_status,omitempty"`
	OutageAnswer       string    `yaml:"outage_answer,omitempty"`
	ForwardCredentials bool      `yaml:"forward_credentials,omitempty"`
	DynamicMetadata    bool      `yaml:"dynamic_metadata,omitempty"`
	AllowedOrigins     []string  `yaml:"allowed_origins,omitempty"`
	WebsocketPaths     []string  `yaml:"websocket_paths,omitempty"`
	AuditRequired      bool      `yaml:"audit_required,omitempty"`
	SessionExpireTime  *Duration `yaml:"session_expire_time,omitempty"`
	SessionAbsolute    *Duration `yaml:"session_absolute_lifetime,omitempty"`
	SessionMaskV4      *int      `yaml:"session_ip_v4_mask,omitempty"`
	SessionMaskV6      *int      `yaml:"session_ip_v6_mask,omitempty"`
	SessionName        string    `yaml:"session_name,omitempty"`
	NonceLifetime      *Duration `yaml:"apikey_nonce_lifetime,omitempty"`
	Replay             string    `yaml:"apikey_replay,omitempty"`
	APIKeyForbidden    []string  `yaml:"apikey_forbidden,omitempty"`
	ScopeEnforce       bool      `yaml:"apikey_scope_enforce,omitempty"`
	TrustedProxies     []string  `yaml:"trusted_proxies,omitempty"`
	Gateway            string    `yaml:"gateway,omitempty"`
	GatewayNetworks    []string  `yaml:"gateway_networks,omitempty"`
	JWTExpireTime      *Duration `yaml:"jwt_expire_time,omitempty"`
	JWTReuse           *Duration `yaml:"jwt_reuse,omitempty"`
	JWTParty           string    `yaml:"jwt_azp,omitempty"`
}

// A Duration is written as Go writes it ("30m") or as a number of seconds.
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	text := n.Value
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes a duration as barong.yaml takes it.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Policy is the source of the snapshot.
type Policy struct {
	// Permissions are "role action verb path" with the topic of an AUDIT row as fifth word.
	Permissions  []string      `yaml:"permissions"`
	Restrictions []Restriction `yaml:"restrictions"`
	Pass         []string      `yaml:"pass"`
	Block        []string      `yaml:"block"`
	// Scopes are those of API keys, each a list of "VERB path".
	Scopes map[string][]string `yaml:"scopes"`
	// Cuts end sessions that are older than Ago and match.
	Cuts []Cut `yaml:"cuts"`
	// Countries says where addresses are: address → alpha-2 code and continent, "GB EU".
	Countries map[string]string `yaml:"countries"`
}

// A Restriction is a row of that table; State defaults to enabled, Code to the scope's.
type Restriction struct {
	Category string `yaml:"category"`
	Scope    string `yaml:"scope"`
	Value    string `yaml:"value"`
	Code     int    `yaml:"code"`
	State    string `yaml:"state"`
}

// A Cut is the trace of a blocklogin rule that was switched on Ago before now.
type Cut struct {
	Scope string   `yaml:"scope"`
	Value string   `yaml:"value"`
	Ago   Duration `yaml:"ago"`
}

// Accounts are all accounts of the world, with their sessions and API keys.
type Accounts struct {
	Users           []User    `yaml:"users"`
	ServiceAccounts []Service `yaml:"service_accounts"`
	Sessions        []Session `yaml:"sessions"`
	APIKeys         []APIKey  `yaml:"api_keys"`
	// Gone are uids that no longer exist.
	Gone []string `yaml:"gone"`
}

// A User has role member and state active unless said otherwise.
type User struct {
	UID        string  `yaml:"uid"`
	Email      string  `yaml:"email"` // default <uid>@example.com in lower case
	Username   *string `yaml:"username"`
	Role       string  `yaml:"role"`
	State      string  `yaml:"state"`
	Level      int     `yaml:"level"`
	Unproved   bool    `yaml:"unproved"`
	OTP        bool    `yaml:"otp"`
	ReferralID *int64  `yaml:"referral_id"`
	Generation int64   `yaml:"generation"`
}

// A Service is a service account, with role service_account and state active by default.
type Service struct {
	UID   string `yaml:"uid"`
	Owner string `yaml:"owner"`
	Role  string `yaml:"role"`
	State string `yaml:"state"`
	Level int    `yaml:"level"`
}

// A Session was opened by User from IP with UserAgent, Age ago, and expires in Left (default:
// the session lifetime).
type Session struct {
	Name       string    `yaml:"name"`
	User       string    `yaml:"user"`
	IP         string    `yaml:"ip"`
	UserAgent  *string   `yaml:"user_agent"`
	Age        Duration  `yaml:"age"`
	Left       *Duration `yaml:"left"`
	Generation int64     `yaml:"generation"`
	Epoch      int64     `yaml:"epoch"`
}

// Cookie is the cookie value of the session.
func (s Session) Cookie() string { return Cookie(s.Name) }

// Cookie is the cookie value of the session of that name: 32 lower-case hex digits.
func Cookie(name string) string { return digest("cookie " + name)[:32] }

// CSRFToken is the CSRF token of the session of that name: 20 lower-case hex digits.
func CSRFToken(name string) string { return digest("csrf " + name)[:20] }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// An APIKey belongs to Holder; its state is active and its secret Secret by default. It may be used
// from the networks of IPWhitelist, from anywhere without any, and ends in Left, never by default.
type APIKey struct {
	Kid         string    `yaml:"kid"`
	Scope       []string  `yaml:"scope"`
	Imported    bool      `yaml:"imported"` // its scope is advice
	Secret      string    `yaml:"secret"`
	Holder      string    `yaml:"holder"`
	State       string    `yaml:"state"`
	IPWhitelist []string  `yaml:"ip_whitelist"`
	Left        *Duration `yaml:"left"`
}

// Secret is the secret of all API keys that do not name another.
const Secret = "00112233445566778899aabbccddeeff"

// A Case is one or more requests. The first step may be written into the case itself.
type Case struct {
	Name  string `yaml:"name"`
	Step  `yaml:",inline"`
	Steps []Step `yaml:"steps"`
}

// All are the steps of c in order.
func (c Case) All() []Step {
	if c.Request.Path == "" {
		return c.Steps
	}
	return append([]Step{c.Step}, c.Steps...)
}

// A Step is the events before a request, the request, and the answer that it must get.
type Step struct {
	// After moves the clock forward.
	After Duration `yaml:"after"`
	// Change replaces accounts by uid or kid, and the policy if it is set; replicas have
	// heard of it when the request comes.
	Change *Change `yaml:"change"`
	// Down names parts that fail from now on: policy, feed (not read for too long),
	// sessions, accounts, tokens, nonces, audit.
	Down    []string `yaml:"down"`
	Request Request  `yaml:"request"`
	Expect  Expect   `yaml:"expect"`
	// Envoy, in a step, overrides Expect behind a real Envoy.
	Envoy *Envoy `yaml:"envoy"`
}

// A Change is somebody else's act between two requests.
type Change struct {
	Accounts `yaml:",inline"`
	Policy   *Policy `yaml:"policy"`
	// EndAll raises the epoch: every session ends.
	EndAll bool `yaml:"end_all"`
}

// Envoy is how a file or step fares behind a real Envoy, where that differs.
type Envoy struct {
	// Skip names the change or refusal by a gateway: the answer must be the same if Barong is
	// asked, the activities need not be.
	Skip string `yaml:"skip"`
	// Status and Reason replace those expected: Envoy itself answers, or normalises.
	Status int    `yaml:"status"`
	Reason string `yaml:"reason"`
}

// A Request is a question. Client is the caller: the trusted proxy at 127.0.0.1 vouches for
// it by X-Forwarded-For. With Peer set, Peer is the transport's peer and nothing is added.
type Request struct {
	Method    string  `yaml:"method"` // default GET
	Path      string  `yaml:"path"`   // request target, with its slash and query
	Host      string  `yaml:"host"`   // default api.example.com
	Client    string  `yaml:"client"` // default Client
	Peer      string  `yaml:"peer"`
	UserAgent *string `yaml:"user_agent"` // default UserAgent; "" sends none
	// Headers are "Name: value" lines; a name may repeat.
	Headers []string `yaml:"headers"`
	Body    string   `yaml:"body"`
	// Session sends the cookie of that session, CSRF its CSRF token. Cookies is a whole
	// Cookie header in which {name} stands for the cookie of a session.
	Session string `yaml:"session"`
	CSRF    string `yaml:"csrf"`
	Cookies string `yaml:"cookies"`
	Sign    *Sign  `yaml:"sign"`
}

// Client, UserAgent and Host are the defaults of a request, the first two also of a session.
const (
	Client    = "203.0.113.10"
	UserAgent = "corpus/1.0"
	Host      = "api.example.com"
)

// Sign sends the three headers of API key version 1.
type Sign struct {
	Kid string `yaml:"kid"`
	// Nonce is sent as it is, but "now", "now-4999" and "now+4999" are the clock in
	// milliseconds; default now.
	Nonce string `yaml:"nonce"`
	// Secret signs; default the key's.
	Secret string `yaml:"secret"`
	// Signature is sent instead of the right one; {upper} is the right one in upper case.
	Signature *string `yaml:"signature"`
}

// Expect is the answer that must come. Members left out are not looked at, but that a
// denial never carries a token always is.
type Expect struct {
	Status int    `yaml:"status"` // default 200
	Reason string `yaml:"reason"`
	Outage bool   `yaml:"outage"`
	// Detail are texts that must occur in the object beside a denial's reason; without any there is none.
	Detail []string `yaml:"detail"`
	// Token says whether there is one; Claims implies it.
	Token  *bool          `yaml:"token"`
	Claims map[string]any `yaml:"claims"`
	// Cookie is the Cookie header that the upstream gets; "" is none.
	Cookie *string `yaml:"cookie"`
	// Removed and Kept are request headers that must, and must not, be taken away.
	Removed []string `yaml:"removed"`
	Kept    []string `yaml:"kept"`
	// ClearsCookie says whether the session cookie is deleted at the client.
	ClearsCookie *bool `yaml:"clears_cookie"`
	// Ended and Alive are sessions that must, and must not, have ended afterwards.
	Ended []string `yaml:"ended"`
	Alive []string `yaml:"alive"`
	// Activities are the rows that this request writes, all of them; members left out are
	// not looked at.
	Activities *[]Activity `yaml:"activities"`
}

// An Activity is the content that a row must have.
type Activity struct {
	Actor     *string `yaml:"actor"`
	Ref       *string `yaml:"ref"`
	Target    *string `yaml:"target"`
	Category  *string `yaml:"category"`
	Topic     *string `yaml:"topic"`
	Action    *string `yaml:"action"`
	Result    *string `yaml:"result"`
	IP        *string `yaml:"ip"`
	Country   *string `yaml:"country"`
	UserAgent *string `yaml:"user_agent"`
	// Data are texts that must occur in the data, NoData texts that must not.
	Data   []string `yaml:"data"`
	NoData []string `yaml:"no_data"`
}

// Load reads all *.yaml files of a directory but not-decisions.yaml, by name. Unknown members
// are errors, and so are cases without a name, a request or, but for allows, a reason.
func Load(dir string) ([]*File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var files []*File
	for _, path := range paths {
		if filepath.Base(path) == notDecisions {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read corpus: %w", err)
		}
		f, err := Parse(strings.TrimSuffix(filepath.Base(path), ".yaml"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, f)
	}
	return files, nil
}

const notDecisions = "not-decisions.yaml"

// NotDecisions reads the rules that no case proves, each with the reason.
func NotDecisions(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, notDecisions))
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	reasons := map[string]string{}
	if err := yaml.Unmarshal(text, &reasons); err != nil {
		return nil, fmt.Errorf("%s: %w", notDecisions, err)
	}
	return reasons, nil
}

// Parse reads one file.
func Parse(name string, text []byte) (*File, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	f := &File{Name: name}
	if err := d.Decode(f); err != nil {
		return nil, err
	}
	var err error
	if f.Applied, err = f.Settings.applied(); err != nil {
		return nil, err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more than one document")
	}
	if f.Now.IsZero() {
		f.Now = Epoch
	}
	if f.About == "" || len(f.Rules) == 0 || len(f.Cases) == 0 {
		return nil, fmt.Errorf("about, rules and cases are mandatory")
	}
	for i := range f.Cases {
		c := &f.Cases[i]
		if c.Name == "" {
			return nil, fmt.Errorf("case %d has no name", i+1)
		}
		if len(c.All()) == 0 {
			return nil, fmt.Errorf("case %q asks nothing", c.Name)
		}
		for _, s := range c.All() {
			if s.Request.Path == "" {
				return nil, fmt.Errorf("case %q: a step asks nothing", c.Name)
			}
			if status := s.Expect.Status; status != 0 && status != 200 && s.Expect.Reason == "" {
				return nil, fmt.Errorf("case %q: a denial without its reason", c.Name)
			}
		}
	}
	return f, nil
}
