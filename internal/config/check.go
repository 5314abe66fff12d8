package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// SQLite reports whether the database is one file for one process.
func (s Settings) SQLite() bool { return strings.HasPrefix(s.Stores.DatabaseURL, "sqlite:") }

// EmbeddedGate reports whether the REST listener decides in process (design §2).
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
	return s.Session.Secure == "true" || s.Session.Secure == "auto" && !s.EmbeddedGate()
}

// OpenGRPC reports whether the gRPC listener can be reached from other machines without
// TLS: then anybody on the way can answer for us.
func (s Settings) OpenGRPC() bool { return !loopback(s.Listen.GRPC) && s.TLS.GRPCCert == "" }

func (s Settings) loopbackOnly() bool {
	for _, a := range []string{s.Listen.HTTP, s.Listen.GRPC, s.Listen.Forward, s.Listen.Ops} {
		if !loopback(a) {
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

// crossChecks are the rules that look at more than one setting, or inside one.
func (s Settings) crossChecks() Problems {
	var p Problems
	say := func(key, format string, args ...any) {
		p = append(p, Prefix+strings.ToUpper(key)+": "+fmt.Sprintf(format, args...))
	}
	for _, l := range []struct{ key, addr string }{
		{"http_addr", s.Listen.HTTP},
		{"grpc_addr", s.Listen.GRPC},
		{"forward_addr", s.Listen.Forward},
		{"ops_addr", s.Listen.Ops},
	} {
		if l.key == "grpc_addr" && strings.HasPrefix(l.addr, "unix://") {
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
			say("secret_key", "is mandatory with PostgreSQL: 32 random bytes in base64, the same for every replica")
		}
	default: // only the scheme: the rest may hold a password
		say("database_url", "must be sqlite:PATH or postgres://…; %q is not supported", scheme)
	}
	if s.Redis.URL == "" && (len(s.Redis.Sentinels) > 0 || len(s.Redis.Cluster) > 0) {
		say("redis_url", "is empty, but Sentinels or a Cluster are named; redis: alone will do")
	}
	for _, l := range []struct {
		key   string
		files Certificate
	}{{"http_tls_key", s.TLS.HTTP()}, {"grpc_tls_key", s.TLS.GRPC()}, {"forward_tls_key", s.TLS.Forward()}} {
		if (l.files.Cert == "") != (l.files.Key == "") || l.files.Cert == "" && l.files.ClientCA != "" {
			say(l.key, "certificate and key go together, and a client authority needs both")
		}
	}
	if s.Listen.Gate == "embedded" && !(s.SQLite() && s.loopbackOnly()) {
		say("gate", "embedded needs SQLite and loopback addresses for every listener; put a proxy in front and set it off")
	}
	if s.Listen.PProf && !loopback(s.Listen.Ops) {
		say("pprof", "shows the memory of the process: it needs a loopback ops_addr, not %q", s.Listen.Ops)
	}
	if s.Token.Reuse > s.Token.Expire/2 {
		say("jwt_reuse", "must be at most half of jwt_expire_time (%s); got %s", s.Token.Expire, s.Token.Reuse)
	}
	if s.Token.Expire <= 0 {
		say("jwt_expire_time", "must be more than zero")
	}
	if s.Session.Expire <= 0 {
		say("session_expire_time", "must be more than zero")
	}
	if s.Session.Absolute < s.Session.Expire {
		say("session_absolute_lifetime", "must be at least session_expire_time (%s); got %s", s.Session.Expire, s.Session.Absolute)
	}
	if !validToken(s.Session.Name) {
		say("session_name", "must be a cookie name; got %q", s.Session.Name)
	}
	if s.Client.Gateway == "akamai" && len(s.Client.GatewayNetworks) == 0 {
		say("gateway_networks", "must list the edge's networks when BARONG_GATEWAY is akamai")
	}
	for _, o := range s.Decision.Origins {
		if !validOrigin(o) {
			say("allowed_origins", "must be scheme://host[:port]; got %q", o)
		}
	}
	for _, o := range s.REST.CORSOrigins {
		if o == "*" && s.REST.CORSCredentials {
			say("api_cors_origins", "* cannot go with api_cors_allow_credentials")
		} else if o != "*" && !validOrigin(o) {
			say("api_cors_origins", "must be scheme://host[:port] or *; got %q", o)
		}
	}
	if s.Decision.CacheMaxStale <= 0 || s.Policy.MaxStale < s.Decision.CacheMaxStale {
		say("cache_max_stale", "must be more than zero and at most policy_max_stale (%s)", s.Policy.MaxStale)
	}
	if s.Decision.Deadline <= 0 {
		say("decision_timeout", "must be more than zero")
	}
	if s.Audit.Flush <= 0 {
		say("audit_flush_interval", "must be more than zero")
	}
	if len(s.Policy.Components) == 0 {
		say("gateway_components", "is empty: nothing could be reached; * lifts the rule")
	}
	if s.Token.Party == "component" && slices.Contains(s.Policy.Components, "*") {
		say("jwt_azp", "component needs names in gateway_components, so that nobody makes up parties; there is *")
	}
	s.checkPeople(say)
	return p
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
