package main

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"barong/authz"
	"barong/identity"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/directory"
	"barong/internal/notify"
	"barong/internal/password"
	"barong/internal/provider/amqp"
	"barong/internal/provider/auth0"
	"barong/internal/provider/captcha"
	"barong/internal/provider/kycaid"
	"barong/internal/provider/smtp"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/token"
	"barong/policy"
)

// databasePath is the SQLite file, as store.Open reads the URL; with another engine it is
// where that would be by default, so that data in files has its usual place.
func databasePath(s config.Settings) string {
	if !s.SQLite() {
		return databasePath(config.Default())
	}
	return strings.TrimPrefix(strings.TrimPrefix(s.Stores.DatabaseURL, "sqlite:"), "//")
}

// dataDir is the folder of the SQLite file.
func dataDir(s config.Settings) string { return filepath.Dir(databasePath(s)) }

// keyFile is where the key of an SQLite database lies.
func keyFile(s config.Settings) string { return filepath.Join(dataDir(s), "secret.key") }

// site is the address that links in mails lead to.
func site(s config.Settings) string {
	if s.Account.Domain != "" {
		return s.Account.Domain
	}
	local, _ := s.Site()
	return local
}

// postgresConfig is the part of the settings that PostgreSQL is used by.
func postgresConfig(s config.Settings) store.Postgres {
	return store.Postgres{MaxConns: s.Stores.MaxConns, StatementTimeout: s.Stores.StatementTimeout}
}

// redisConfig is the part of the settings that Redis is used by.
func redisConfig(s config.Settings) redis.Config {
	r := s.Redis
	return redis.Config{
		URL: r.URL.Reveal(), Sentinels: r.Sentinels, Master: r.Master,
		SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword.Reveal(),
		Cluster: r.Cluster, Username: r.Username, Password: r.Password.Reveal(),
		CA: r.CA, Cert: r.Cert, Key: r.Key, ServerName: r.ServerName,
		DialTimeout: r.DialTimeout, Timeout: r.Timeout, PoolSize: r.Pool, Prefix: r.Prefix,
		SessionLife: s.Session.Absolute,
	}
}

// keysConfig is the part of the settings that signing keys go by.
func keysConfig(s config.Settings) token.KeysConfig {
	c := token.DefaultKeysConfig()
	c.Algorithm, c.Lifetime = s.Token.Algorithm, s.Token.Expire
	c.JWKSMaxAge, c.RotateEvery = s.Token.JWKSMaxAge, s.Token.RotateEvery
	c.MailLifetime = s.Mail.TokenExpire
	return c
}

// tokenConfig is the part of the settings that bearer tokens go by.
func tokenConfig(s config.Settings) token.Config {
	return token.Config{Lifetime: s.Token.Expire, Reuse: s.Token.Reuse, IatBackdate: s.Token.IatBackdate}
}

// decisionConfig is the part of the settings that decisions go by.
func decisionConfig(s config.Settings) authz.Config {
	return authz.Config{
		RBACDeniedStatus: s.Decision.RBACDeniedStatus, OutageAnswer: s.Decision.OutageAnswer,
		ForwardCredentials: s.Decision.ForwardCredentials, Metadata: s.Decision.DynamicMetadata,
		CSRFProtection: s.Decision.CSRFProtection, Origins: s.Decision.Origins, WebsocketPaths: s.Decision.WebsocketPaths,
		PolicyMaxStale: s.Policy.MaxStale, CacheMaxStale: s.Decision.CacheMaxStale, Deadline: s.Decision.Deadline,
		AuditRequired: s.Audit.Required,
		SessionName:   s.Session.Name, SecureCookie: s.SecureCookie(), SessionAbsolute: s.Session.Absolute,
		SessionMaskV4: s.Session.MaskV4, SessionMaskV6: s.Session.MaskV6,
		NonceLifetime: s.APIKey.NonceLifetime, Replay: authz.Replay(s.APIKey.Replay), APIKeyForbidden: s.APIKey.Forbidden,
		PartyPerComponent: s.Token.Party == "component",
		TrustedProxies:    s.Client.TrustedProxies, Gateway: s.Client.Gateway, GatewayNetworks: s.Client.GatewayNetworks,
		TrustPipe: strings.HasPrefix(s.Listen.GRPC, "unix:"), DirectClients: s.DirectClients(),
	}
}

func policyOptions(s config.Settings, geo *policy.Geo) policy.Options {
	p := s.Policy
	return policy.Options{Matching: p.PathMatching, Components: p.Components, Geo: geo, Lang: p.GeoIPLang}
}

// auditConfig is the part of the settings that activities go by.
func auditConfig(s config.Settings) audit.Config {
	c := audit.DefaultConfig()
	c.Queue, c.Flush, c.Required = s.Audit.Queue, s.Audit.Flush, s.Audit.Required
	c.SpillPath, c.SpillMax = s.Audit.Spill, int64(s.Audit.SpillMax)
	if c.SpillPath == "" {
		c.SpillPath = filepath.Join(dataDir(s), "audit.spill")
	}
	return c
}

// accountConfig is the part of the settings, and of their files, that accounts go by.
func accountConfig(s config.Settings, f files) account.Config {
	return account.Config{
		UIDPrefix:       s.Account.UIDPrefix,
		Activation:      f.accounts.Activation,
		Triggers:        f.accounts.Triggers,
		StaffRoles:      f.abilities.Staff(),
		MemberRoles:     s.Account.MemberRoles,
		Passwords:       passwordRules(s),
		ReservedLabels:  f.accounts.StorageTitles,
		DefaultLanguage: s.Account.Language,
	}
}

// signinConfig is the part of the settings that sign-ins and mailed links go by.
func signinConfig(s config.Settings) signin.Config {
	return signin.Config{UIDPrefix: s.Account.UIDPrefix, FailureFloor: s.Account.SigninFloor, Domain: site(s)}
}

// sessionConfig is the part of the settings that sessions in these stores go by; shared is the
// clock that all processes share.
func sessionConfig(s config.Settings, in shared, shared func(time.Time) time.Time) session.Config {
	return session.Config{
		Lifetime: s.Session.Expire, Absolute: s.Session.Absolute, Size: s.Session.CacheSize, Loads: in.loads(s),
		Shared: shared,
	}
}

// directoryConfig is the part of the settings that the cache of accounts goes by.
func directoryConfig(s config.Settings) directory.Config {
	return directory.Config{Size: s.Account.CacheSize, Loads: s.Account.LoadsAtOnce}
}

// apiKeysConfig is the part of the settings that the cache of API keys goes by.
func apiKeysConfig(s config.Settings) apikey.CacheConfig {
	return apikey.CacheConfig{Size: s.APIKey.CacheSize, Loads: s.Account.LoadsAtOnce}
}

// grpcConfig is the part of the settings that the gRPC listener goes by, without its TLS.
func grpcConfig(s config.Settings) authz.GRPCConfig {
	return authz.GRPCConfig{
		Generated: s.Decision.GRPCCodec == "generated", MaxConnectionAge: s.Decision.MaxConnectionAge,
	}
}

// passwordRules are the rules for new passwords.
func passwordRules(s config.Settings) password.Rules {
	r := password.Rules{MinEntropy: float64(s.Account.MinEntropy)}
	if s.Account.Pattern != "" {
		r.Pattern = regexp.MustCompile(s.Account.Pattern) // the settings were checked
	}
	if s.Account.Dictionary {
		r.Dictionary = password.Common()
	}
	return r
}

// corsConfig is the part of the settings that pages of other origins go by.
func corsConfig(s config.Settings) rest.CORS {
	return rest.CORS{Origins: s.REST.CORSOrigins, MaxAge: s.REST.CORSMaxAge, Credentials: s.REST.CORSCredentials}
}

// published returns the settings that anybody may read. GeeTest's id comes with its challenge.
func published(s config.Settings) (identity.Configs, identity.Auth0Configs) {
	site, _ := s.Captcha.Keys()
	if s.Captcha.Kind == "geetest" {
		site = ""
	}
	pattern := s.Account.Pattern
	if pattern == "" {
		pattern = password.DefaultPattern
	}
	return identity.Configs{
		SessionExpire: int64(s.Session.Expire / time.Second), CaptchaType: s.Captcha.Kind, CaptchaID: site,
		PhoneVerification: s.External.PhoneKind,
		PasswordPattern:   password.PublishedPattern(pattern), PasswordEntropy: float64(s.Account.MinEntropy),
	}, identity.Auth0Configs{Domain: s.External.Auth0Domain, ClientID: s.External.Auth0ClientID}
}

// brokerConfig is the part of the settings that RabbitMQ is used by.
func brokerConfig(s config.Settings) amqp.Config {
	e := s.Events
	return amqp.Config{
		URL: e.URL.Reveal(), Host: e.Host, Port: e.Port, Username: e.Username, Password: e.Password.Reveal(),
		CAFile: e.CA,
	}
}

// mailConfig is the part of the settings that mails are written by.
func mailConfig(s config.Settings) notify.Config {
	return notify.Config{
		From: s.Mail.SenderEmail, FromName: s.Mail.SenderName, DefaultLanguage: s.Account.Language,
		Site: site(s), Logo: s.Mail.Logo, Templates: s.Mail.Templates, LinkLife: s.Mail.TokenExpire,
	}
}

// smtpConfig is the part of the settings that the SMTP server is used by.
func smtpConfig(s config.Settings) smtp.Config {
	m := s.Mail
	return smtp.Config{
		Host: m.Host, Port: m.Port, User: m.User, Password: m.Password.Reveal(), TLS: m.TLS, CAFile: m.CA, Helo: helo(s),
	}
}

// helo is our name in EHLO: the one that is set, else the domain that mails come from, else
// that of the site.
func helo(s config.Settings) string {
	if s.Mail.Helo != "" {
		return s.Mail.Helo
	}
	_, sender, _ := strings.Cut(s.Mail.SenderEmail, "@")
	_, site, schemed := strings.Cut(s.Account.Domain, "://")
	if !schemed {
		site = s.Account.Domain
	}
	if u, err := url.Parse("//" + site); err == nil {
		site = u.Hostname()
	}
	for _, name := range []string{sender, site} {
		if smtp.FullyQualified(name) {
			return name
		}
	}
	return sender
}

// kycConfig is the part of the settings that KYCAID is used by.
func kycConfig(s config.Settings) kycaid.Config {
	return kycaid.Config{Token: s.External.KYCAIDToken.Reveal(), Address: s.External.KYCAIDURL}
}

// auth0Config is the part of the settings that Auth0 is used by.
func auth0Config(s config.Settings) auth0.Config {
	return auth0.Config{Domain: s.External.Auth0Domain, ClientID: s.External.Auth0ClientID}
}

// geetestConfig is the part of the settings that GeeTest is used by.
func geetestConfig(s config.Settings) captcha.GeeTestConfig {
	id, key := s.Captcha.Keys()
	return captcha.GeeTestConfig{ID: id, Key: key.Reveal(), Address: s.Captcha.URL}
}

// captchaConfig is the part of the settings that the other captchas are checked by.
func captchaConfig(s config.Settings) captcha.SiteVerifyConfig {
	site, key := s.Captcha.Keys()
	return captcha.SiteVerifyConfig{
		Service: s.Captcha.Kind, Secret: key.Reveal(), SiteKey: site, Hosts: s.Captcha.Hosts, Address: s.Captcha.URL,
	}
}
