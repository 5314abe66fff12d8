package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// SQLite reports whether the database is one file for one process.
func (s Settings) SQLite() bool { return strings.HasPrefix(s.Stores.DatabaseURL, "sqlite:") }

// EmbeddedGate reports whether the REST listener decides in process.
func (s Settings) EmbeddedGate() bool {
	return s.Listen.Gate == "embedded" || s.Listen.Gate == "auto" && s.SQLite() && s.loopbackOnly()
}

// DirectClients reports whether clients reach the REST listener without a proxy that could say
// where they are: the embedded gate, unless trusted proxies were named.
func (s Settings) DirectClients() bool {
	return s.EmbeddedGate() && slices.Equal(s.Client.TrustedProxies, Default().Client.TrustedProxies)
}

// LoopbackOps reports whether the ops listener can be reached from this machine only.
func (s Settings) LoopbackOps() bool { return loopback(s.Listen.Ops) }

// SecureCookie reports whether the session cookie is marked Secure (design D8).
func (s Settings) SecureCookie() bool {
	return s.Session.Secure == "true" || s.Session.Secure == "auto" && (!s.EmbeddedGate() || s.TLS.HTTPCert != "")
}

// StaffRequires2FA reports whether staff without a second factor are refused in the admin API.
func (s Settings) StaffRequires2FA() bool {
	return s.Account.StaffFactor == "true" || s.Account.StaffFactor == "auto" && !s.EmbeddedGate()
}

// OpenGRPC reports whether the gRPC listener can be reached from other machines without
// TLS: then anybody on the way can answer for us.
func (s Settings) OpenGRPC() bool { return !loopback(s.Listen.GRPC) && s.TLS.GRPCCert == "" }

func (s Settings) loopbackOnly() bool {
	for _, a := range []string{s.Listen.HTTP, s.Listen.GRPC, s.Listen.Forward, s.Listen.Ops, s.Listen.Management} {
		if a != "" && !loopback(a) {
			return false
		}
	}
	return true
}

// loopback reports whether a listener address can be reached from this machine only.
func loopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// adapt gives settings that depend on others, and were not given, the value that goes with
// those (design D29).
func (s *Settings) adapt(given func(key string) bool) {
	if !given("jwt_reuse") {
		s.Token.Reuse = min(s.Token.Reuse, s.Token.Expire/2)
	}
	if !given("session_absolute_lifetime") {
		s.Session.Absolute = max(s.Session.Absolute, s.Session.Expire)
	} else if !given("session_expire_time") {
		s.Session.Expire = min(s.Session.Expire, s.Session.Absolute)
	}
	if !given("cache_max_stale") {
		s.Decision.CacheMaxStale = min(s.Decision.CacheMaxStale, s.Policy.MaxStale)
	} else if !given("policy_max_stale") {
		s.Policy.MaxStale = max(s.Policy.MaxStale, s.Decision.CacheMaxStale)
	}
	if !given("shutdown_timeout") && s.Process.DrainDelay > 0 {
		s.Process.ShutdownTimeout = max(s.Process.ShutdownTimeout, s.Process.DrainDelay+10*time.Second)
	}
}

// check notes the faults of one setting beside others, or inside one. The first key of
// each finding is the setting that is named, the others are compared with it.
func (s Settings) check(p *Problems) {
	say := p.Say
	for _, l := range []struct{ key, addr string }{
		{"http_addr", s.Listen.HTTP},
		{"grpc_addr", s.Listen.GRPC},
		{"forward_addr", s.Listen.Forward},
		{"ops_addr", s.Listen.Ops},
		{"management_addr", s.Listen.Management},
	} {
		if l.key == "grpc_addr" && strings.HasPrefix(l.addr, "unix://") || l.key == "management_addr" && l.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			say(l.key, "must be host:port; got %q", l.addr)
		}
	}
	switch scheme, rest, _ := strings.Cut(s.Stores.DatabaseURL, ":"); scheme {
	case "sqlite":
		if strings.TrimPrefix(rest, "//") == "" {
			say("database_url", "names no file")
		}
	case "postgres", "postgresql":
		if s.Stores.SecretKey == "" {
			say("secret_key database_url", "is mandatory when BARONG_DATABASE_URL is PostgreSQL's: 32 random bytes in base64, the same for every replica")
		}
	default: // only the scheme: the rest may hold a password
		say("database_url", "must be sqlite:PATH or postgres://…; %q is not supported", scheme)
	}
	for _, l := range []struct {
		key   string
		nodes []string
	}{{"redis_sentinels", s.Redis.Sentinels}, {"redis_cluster", s.Redis.Cluster}} {
		if s.Redis.URL == "" && len(l.nodes) > 0 {
			say(l.key+" redis_url", "needs BARONG_REDIS_URL, which is empty; redis:// without a host will do")
		}
	}
	for _, l := range []struct {
		name  string
		files Certificate
	}{{"http", s.TLS.HTTP()}, {"grpc", s.TLS.GRPC()}, {"forward", s.TLS.Forward()}, {"management", s.TLS.Management()}} {
		cert, key := l.name+"_tls_cert", l.name+"_tls_key"
		switch f := l.files; {
		case f.Cert != "" && f.Key == "":
			say(cert+" "+key, "needs %s%s: certificate and key go together", Prefix, strings.ToUpper(key))
		case f.Cert == "" && f.Key != "":
			say(key+" "+cert, "needs %s%s: certificate and key go together", Prefix, strings.ToUpper(cert))
		case f.Cert == "" && f.ClientCA != "":
			say(l.name+"_tls_client_ca "+cert, "needs %s%s: only a listener with a certificate asks clients for theirs", Prefix, strings.ToUpper(cert))
		}
	}
	if s.Listen.Management == "" && s.TLS.ManagementCert != "" {
		say("management_tls_cert management_addr", "needs BARONG_MANAGEMENT_ADDR: without a listener of its own the management API has the certificate of REST")
	}
	if s.Listen.Gate == "embedded" && !(s.SQLite() && s.loopbackOnly()) {
		say("gate database_url http_addr grpc_addr forward_addr ops_addr management_addr", "embedded needs SQLite and loopback addresses for every listener; put a proxy in front and set it off")
	}
	if s.Token.Expire < time.Second || s.Token.Expire%time.Second != 0 {
		say("jwt_expire_time", "must be whole seconds, at least one; got %s", s.Token.Expire)
	}
	if s.Listen.PProf && !loopback(s.Listen.Ops) {
		say("pprof", "shows the memory of the process: it needs a loopback ops_addr, not %q", s.Listen.Ops)
	}
	if s.Token.Reuse > s.Token.Expire/2 {
		say("jwt_reuse jwt_expire_time", "must be at most half of jwt_expire_time (%s); got %s", s.Token.Expire, s.Token.Reuse)
	}
	if s.Token.IatBackdate%time.Second != 0 {
		say("jwt_iat_backdate", "must be whole seconds; got %s", s.Token.IatBackdate)
	}
	if s.Session.Expire <= 0 {
		say("session_expire_time", "must be more than zero")
	}
	if s.Session.Absolute <= 0 {
		say("session_absolute_lifetime", "must be more than zero")
	}
	if s.Session.Absolute < s.Session.Expire {
		say("session_absolute_lifetime session_expire_time", "must be at least session_expire_time (%s); got %s", s.Session.Expire, s.Session.Absolute)
	}
	if !validToken(s.Session.Name) {
		say("session_name", "must be a cookie name; got %q", s.Session.Name)
	}
	if s.Client.Gateway == "akamai" && len(s.Client.GatewayNetworks) == 0 {
		say("gateway_networks gateway", "must list the edge's networks when BARONG_GATEWAY is akamai")
	}
	for _, o := range s.Decision.Origins {
		if !validOrigin(o) {
			say("allowed_origins", "must be scheme://host[:port]; got %q", o)
		}
	}
	for _, o := range s.REST.CORSOrigins {
		if o == "*" && s.REST.CORSCredentials {
			say("api_cors_origins api_cors_allow_credentials", "* cannot go with api_cors_allow_credentials")
		} else if o != "*" && !validOrigin(o) {
			say("api_cors_origins", "must be scheme://host[:port] or *; got %q", o)
		}
	}
	if s.Policy.MaxStale <= 0 {
		say("policy_max_stale", "must be more than zero")
	}
	if s.Decision.CacheMaxStale <= 0 {
		say("cache_max_stale policy_max_stale", "must be more than zero")
	}
	if s.Policy.MaxStale < s.Decision.CacheMaxStale {
		say("cache_max_stale policy_max_stale", "must be at most policy_max_stale (%s); got %s", s.Policy.MaxStale, s.Decision.CacheMaxStale)
	}
	if s.APIKey.NonceLifetime < time.Millisecond {
		say("apikey_nonce_lifetime", "must be at least a millisecond")
	}
	if s.Process.DrainDelay > 0 && s.Process.DrainDelay >= s.Process.ShutdownTimeout {
		say("shutdown_timeout drain_delay", "must be more than drain_delay (%s); got %s", s.Process.DrainDelay, s.Process.ShutdownTimeout)
	}
	if s.Decision.Deadline <= 0 {
		say("decision_timeout", "must be more than zero")
	}
	if s.Account.SigninFloor <= 0 {
		say("signin_floor", "must be more than zero")
	}
	if len(s.Account.MemberRoles) == 0 {
		say("member_roles", "is empty: people who sign up get the role member")
	}
	if s.Account.AppName == "" {
		say("app_name", "is empty: authenticator apps show it")
	}
	if len(s.Policy.Components) == 0 {
		say("gateway_components", "is empty: nothing could be reached; * lifts the rule")
	}
	if s.Token.Party == "component" && slices.Contains(s.Policy.Components, "*") {
		say("jwt_azp gateway_components", "component needs names in gateway_components, so that nobody makes up parties; there is *")
	}
	s.checkPeople(say)
}

func validOrigin(o string) bool {
	u, err := url.Parse(o)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}

// validToken reports whether name is a token of RFC 9110 §5.6.2, as cookie names must be.
func validToken(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}
