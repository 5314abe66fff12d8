package authztest

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/config"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// Principal is u as decisions see it, without a version.
func (u User) Principal() account.Principal {
	return account.Principal{
		Kind: account.KindUser, UID: u.UID, Email: or(u.Email, strings.ToLower(u.UID)+"@example.com"),
		Username: u.Username, Role: or(u.Role, "member"), Level: u.Level, State: or(u.State, "active"),
		Unproved: u.Unproved, OTP: u.OTP, ReferralID: u.ReferralID, SessionGeneration: u.Generation,
	}
}

// Principal is s as decisions see it, without a version.
func (s Service) Principal() account.Principal {
	return account.Principal{
		Kind: account.KindServiceAccount, UID: s.UID, Email: strings.ToLower(s.UID) + "@example.com",
		Role: or(s.Role, "service_account"), Level: s.Level, State: or(s.State, "active"), OwnerUID: s.Owner,
	}
}

// Key is k as a store keeps it, in a world whose clock shows now.
func (k APIKey) Key(now time.Time) (apikey.Key, error) {
	networks, broken := apikey.ParseNetworks(k.IPWhitelist)
	if len(broken) > 0 {
		return apikey.Key{}, fmt.Errorf("key %s: ip_whitelist %q: %q", k.Kid, k.IPWhitelist, broken)
	}
	key := apikey.Key{
		Kid: k.Kid, Algorithm: apikey.HS256, Secret: or(k.Secret, Secret), State: or(k.State, apikey.Active),
		HolderUID: k.Holder, Networks: networks, Scope: k.Scope, ScopeEnforced: !k.Imported,
	}
	if k.Left != nil {
		key.ExpiresAt = now.Add(time.Duration(*k.Left))
	}
	return key, nil
}

// recordOf is k as decisions see it, held by a principal of that kind.
func recordOf(k apikey.Key, holder account.Kind) apikey.Record {
	return apikey.Record{
		Kid: k.Kid, Algorithm: k.Algorithm, Secret: []byte(k.Secret), State: k.State, HolderUID: k.HolderUID,
		HolderKind: holder, Networks: k.Networks, ExpiresAt: k.ExpiresAt, Scope: k.Scope, ScopeEnforced: k.ScopeEnforced,
	}
}

// Session is s as a store keeps it, in a world whose clock shows now.
func (f *File) Session(s Session, now time.Time) (session.Session, error) {
	ip, err := netip.ParseAddr(or(s.IP, Client))
	if err != nil {
		return session.Session{}, fmt.Errorf("session %s: %w", s.Name, err)
	}
	agent := UserAgent
	if s.UserAgent != nil {
		agent = *s.UserAgent
	}
	id, _ := session.IDOf(s.Cookie())
	return session.Session{
		ID: id, UID: s.User, IP: ip.Unmap(), UserAgent: agent, CSRFToken: CSRFToken(s.Name),
		Generation: s.Generation, Epoch: s.Epoch, CreatedAt: now.Add(-time.Duration(s.Age)),
		ExpiresAt: now.Add(duration(s.Left, f.Applied.Session.Expire)),
	}, nil
}

// applied are the default settings with those of set in their place, as barong serve reads them.
func (set Settings) applied() (config.Settings, error) {
	origins := set.AllowedOrigins // put in as they are: a case shows that "*", which a start refuses, does not count
	set.AllowedOrigins = nil
	var environ []string
	v := reflect.ValueOf(set)
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if f := v.Field(i); !f.IsZero() {
			environ = append(environ, config.Prefix+strings.ToUpper(key)+"="+settingText(f))
		}
	}
	s, err := config.Load(environ)
	s.Decision.Origins = origins
	return s, err
}

// settingText is a value of Settings as the environment has it.
func settingText(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case Duration:
		return time.Duration(x).String()
	default:
		return fmt.Sprint(x)
	}
}

// SessionConfig configures a manager of few sessions.
func SessionConfig(s config.Settings) session.Config {
	return session.Config{Lifetime: s.Session.Expire, Absolute: s.Session.Absolute, Size: 1000, Loads: s.Account.LoadsAtOnce}
}

// TokenConfig configures a minter.
func TokenConfig(s config.Settings) token.Config {
	return token.Config{Lifetime: s.Token.Expire, Reuse: s.Token.Reuse, IatBackdate: s.Token.IatBackdate}
}

func duration(d *Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return time.Duration(*d)
}

// Rows are the rows of p in a world whose clock shows now, numbered from 1, without At.
func (p Policy) Rows(now time.Time) (rows policy.Rows, err error) {
	for i, line := range p.Permissions {
		f := strings.Fields(line)
		if len(f) != 4 && len(f) != 5 {
			return policy.Rows{}, fmt.Errorf("permission %q is not: role action verb path [topic]", line)
		}
		row := policy.Permission{ID: int64(i + 1), Role: f[0], Action: f[1], Verb: f[2], Path: f[3]}
		if len(f) == 5 {
			row.Topic = f[4]
		}
		rows.Permissions = append(rows.Permissions, row)
	}
	for i, r := range p.Restrictions {
		rows.Restrictions = append(rows.Restrictions, policy.Restriction{
			ID: int64(i + 1), Category: r.Category, Scope: r.Scope, Value: r.Value,
			Code: cmp.Or(r.Code, policy.DefaultCode(r.Category, r.Scope)), State: or(r.State, "enabled"),
		})
	}
	for _, c := range p.Cuts {
		rows.Cuts = append(rows.Cuts, policy.Cut{Scope: c.Scope, Value: c.Value, At: now.Add(-time.Duration(c.Ago))})
	}
	return rows, nil
}

// RouteRules are those of p.
func (p Policy) RouteRules() policy.RouteRules {
	scopes := map[string][]policy.Endpoint{}
	for name, list := range p.Scopes {
		for _, one := range list {
			verb, path, _ := strings.Cut(one, " ")
			scopes[name] = append(scopes[name], policy.Endpoint{Verb: verb, Path: path})
		}
	}
	return policy.RouteRules{Pass: p.Pass, Block: p.Block, Scopes: scopes}
}

// Options are those that p is compiled with.
func (f *File) Options(p Policy) policy.Options {
	return policy.Options{
		Matching: f.Applied.Policy.PathMatching, Components: f.Applied.Policy.Components, Geo: countries(p.Countries),
	}
}

// countries locates the addresses of a file.
type countries map[string]string

func (c countries) Lookup(ip netip.Addr) (country, continent string, ok bool) {
	country, continent, ok = strings.Cut(c[ip.String()], " ")
	return country, continent, ok
}

func (c countries) Name(ip netip.Addr, _ string) string {
	country, _, _ := c.Lookup(ip)
	return country
}
