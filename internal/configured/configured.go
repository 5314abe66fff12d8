// Package configured makes the configuration of each part from the settings. The serving process and
// the fixtures of tests make their parts by it, so that a default stands in the settings alone and a
// test has the one that operators have.
//
//	config.Settings ──► configured.Tokens ──► token.Config ──► token.NewMinter
package configured

import (
	"net/url"
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
	"barong/internal/exchange"
	"barong/internal/factor"
	"barong/internal/notify"
	"barong/internal/password"
	"barong/internal/peer"
	"barong/internal/person"
	"barong/internal/provider/amqp"
	"barong/internal/provider/auth0"
	"barong/internal/provider/captcha"
	"barong/internal/provider/clamd"
	"barong/internal/provider/kycaid"
	"barong/internal/provider/s3"
	"barong/internal/provider/smtp"
	"barong/internal/provider/twilio"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/token"
	"barong/management"
	"barong/policy"
)

// site is the address that links in mails lead to.
func site(s config.Settings) string {
	if s.Account.Domain != "" {
		return s.Account.Domain
	}
	local, _ := s.Site()
	return local
}

// Peers is the part of the settings by which messages of peer services are verified.
func Peers(s config.Settings) peer.Config { return peer.Config{Replay: s.Peers.Replay} }

// Postgres is the part of the settings that PostgreSQL is used by.
func Postgres(s config.Settings) store.Postgres {
	return store.Postgres{MaxConns: s.Stores.MaxConns, StatementTimeout: s.Stores.StatementTimeout}
}

// Redis is the part of the settings that Redis is used by.
func Redis(s config.Settings) redis.Config {
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

// Keys is the part of the settings that signing keys go by.
func Keys(s config.Settings) token.KeysConfig {
	return token.KeysConfig{
		Algorithm: s.Token.Algorithm, Lifetime: s.Token.Expire, MailLifetime: s.Mail.TokenExpire,
		JWKSMaxAge: s.Token.JWKSMaxAge, RotateEvery: s.Token.RotateEvery,
	}
}

// Tokens is the part of the settings that bearer tokens go by.
func Tokens(s config.Settings) token.Config {
	return token.Config{Lifetime: s.Token.Expire, Reuse: s.Token.Reuse, IatBackdate: s.Token.IatBackdate}
}

// Decisions is the part of the settings that decisions go by.
func Decisions(s config.Settings) authz.Config {
	return authz.Config{
		RBACDeniedStatus: s.Decision.RBACDeniedStatus, OutageAnswer: s.Decision.OutageAnswer,
		ForwardCredentials: s.Decision.ForwardCredentials, Metadata: s.Decision.DynamicMetadata,
		CSRFProtection: s.Decision.CSRFProtection, Origins: s.Decision.Origins, WebsocketPaths: s.Decision.WebsocketPaths,
		PolicyMaxStale: s.Policy.MaxStale, CacheMaxStale: s.Decision.CacheMaxStale, Deadline: s.Decision.Deadline,
		AuditRequired: s.Audit.Required,
		SessionName:   s.Session.Name, SecureCookie: s.SecureCookie(), SessionAbsolute: s.Session.Absolute,
		SessionMaskV4: s.Session.MaskV4, SessionMaskV6: s.Session.MaskV6,
		NonceLifetime: s.APIKey.NonceLifetime, Replay: authz.Replay(s.APIKey.Replay), APIKeyForbidden: s.APIKey.Forbidden,
		ScopeEnforce:      s.APIKey.ScopeEnforce,
		PartyPerComponent: s.Token.Party == "component",
		TrustedProxies:    s.Client.TrustedProxies, Gateway: s.Client.Gateway, GatewayNetworks: s.Client.GatewayNetworks,
		TrustPipe: strings.HasPrefix(s.Listen.GRPC, "unix:"), DirectClients: s.DirectClients(),
	}
}

// Policy is the part of the settings that the policy is compiled by; geo may be nil.
func Policy(s config.Settings, geo *policy.Geo) policy.Options {
	p := s.Policy
	return policy.Options{Matching: p.PathMatching, Components: p.Components, Geo: geo, Lang: p.GeoIPLang}
}

// Audit is the part of the settings that activities go by.
func Audit(s config.Settings) audit.Config {
	return audit.Config{
		Queue: s.Audit.Queue, Flush: s.Audit.Flush, Required: s.Audit.Required,
		SpillPath: s.SpillFile(), SpillMax: int64(s.Audit.SpillMax),
		DenialsPerMinute: audit.DenialsPerMinute, DenialsPerDay: audit.DenialsPerDay,
	}
}

// Accounts is the part of the settings, and of their files, that accounts go by; staff are the roles
// of the abilities.
func Accounts(s config.Settings, rules exchange.Rules, staff []string) account.Config {
	return account.Config{
		UIDPrefix:         s.Account.UIDPrefix,
		Activation:        rules.Activation,
		Triggers:          rules.Triggers,
		StaffRoles:        staff,
		MemberRoles:       s.Account.MemberRoles,
		Passwords:         passwords(s),
		ReservedLabels:    rules.StorageTitles,
		DefaultLanguage:   s.Account.Language,
		StopKeysOn2FALoss: s.APIKey.StopOn2FALoss,
		FourEyes:          account.FourEyes{Actions: s.Account.FourEyes, Principals: s.Account.EyesAbove},
	}
}

// SignIns is the part of the settings that sign-ins and mailed links go by.
func SignIns(s config.Settings) signin.Config {
	return signin.Config{
		UIDPrefix: s.Account.UIDPrefix, FailureFloor: s.Account.SigninFloor, Domain: site(s), StopKeysOnReset: s.APIKey.StopOnReset,
	}
}

// Codes is the part of the settings that second factors go by.
func Codes(s config.Settings) factor.Config {
	site, origins := s.PasskeySite()
	return factor.Config{AppName: s.Account.AppName, PasskeySite: site, PasskeyOrigins: origins}
}

// Persons is the part of the settings, and of their files, that proofs about people go by.
func Persons(s config.Settings, rules exchange.Rules) person.Config {
	return person.Config{
		StorageTitles: rules.StorageTitles, AppName: s.Account.AppName, CodeText: s.External.SMSTemplate,
		Outside: s.External.KYCProvider != "local", Documents: Documents(s, rules),
		SecondReviewer: s.External.SecondReviewer, SoleReviewers: rules.ProfileVerifiers,
	}
}

// Sessions is the part of the settings that sessions go by.
func Sessions(s config.Settings) session.Config {
	return session.Config{
		Lifetime: s.Session.Expire, Absolute: s.Session.Absolute, Size: s.Session.CacheSize,
		Loads: s.Account.LoadsAtOnce,
	}
}

// Cookies is the part of the settings that session cookies go by.
func Cookies(s config.Settings) session.Cookies {
	return session.Cookies{Name: s.Session.Name, Insecure: !s.SecureCookie()}
}

// Directory is the part of the settings that the cache of accounts goes by.
func Directory(s config.Settings) directory.Config {
	return directory.Config{Size: s.Account.CacheSize, Loads: s.Account.LoadsAtOnce}
}

// APIKeys is the part of the settings that the cache of API keys goes by.
func APIKeys(s config.Settings) apikey.CacheConfig {
	return apikey.CacheConfig{Size: s.APIKey.CacheSize, Loads: s.Account.LoadsAtOnce}
}

// KeyRules is the part of the settings that new and changed API keys go by.
func KeyRules(s config.Settings) apikey.Config {
	k := s.APIKey
	return apikey.Config{ListedScopes: k.ListedScopes, ShortScopes: k.ShortScopes, ShortLife: k.ShortLife}
}

// ManagedKeys is the part of the settings that peer services' changes of API keys go by.
func ManagedKeys(s config.Settings) management.Keys {
	return management.Keys{
		OfUsers: s.APIKey.ManageUsers, OfServiceAccounts: s.APIKey.ManageRobots, UIDPrefix: strings.ToUpper(s.Account.UIDPrefix),
	}
}

// GRPC is the part of the settings that the gRPC listener goes by, without its TLS.
func GRPC(s config.Settings) authz.GRPCConfig {
	return authz.GRPCConfig{
		Generated: s.Decision.GRPCCodec == "generated", MaxConnectionAge: s.Decision.MaxConnectionAge,
	}
}

// passwords are the rules for new passwords.
func passwords(s config.Settings) password.Rules {
	r := password.Rules{MinEntropy: float64(s.Account.MinEntropy)}
	if s.Account.Pattern != "" {
		r.Pattern = regexp.MustCompile(s.Account.Pattern) // the settings were checked
	}
	if s.Account.Dictionary {
		r.Dictionary = password.Common()
	}
	return r
}

// REST is the part of the settings that the REST listener goes by.
func REST(s config.Settings) rest.Config {
	return rest.Config{
		MaxBody: int64(s.REST.MaxBody), ReferenceStatus: s.REST.SuccessStatus == "reference", CORS: CORS(s),
		Uploads: s.Uploads.AtOnce, Spool: s.Uploads.Spool,
	}
}

// Documents is the part of the settings, and of their files, that documents go by.
func Documents(s config.Settings, rules exchange.Rules) person.DocumentRules {
	extensions := make([]string, len(s.Uploads.Extensions))
	for i, e := range s.Uploads.Extensions {
		extensions[i] = strings.ToLower(e)
	}
	return person.DocumentRules{
		Types: rules.DocumentTypes, Extensions: extensions, SizeMin: int64(s.Uploads.SizeMin), SizeMax: int64(s.Uploads.SizeMax) << 20,
		Most: s.Uploads.Most, NeedExpiry: s.Uploads.NeedExpiry,
	}
}

// CORS is the part of the settings that pages of other origins go by.
func CORS(s config.Settings) rest.CORS {
	return rest.CORS{Origins: s.REST.CORSOrigins, MaxAge: s.REST.CORSMaxAge, Credentials: s.REST.CORSCredentials}
}

// Published returns the settings that anybody may read. GeeTest's id comes with its challenge.
func Published(s config.Settings) (identity.Configs, identity.Auth0Configs) {
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
		PhoneVerification: s.PhoneVerification(),
		PasswordPattern:   password.PublishedPattern(pattern), PasswordEntropy: float64(s.Account.MinEntropy),
	}, identity.Auth0Configs{Domain: s.External.Auth0Domain, ClientID: s.External.Auth0ClientID}
}

// Broker is the part of the settings that RabbitMQ is used by.
func Broker(s config.Settings) amqp.Config {
	e := s.Events
	return amqp.Config{
		URL: e.URL.Reveal(), Host: e.Host, Port: e.Port, Username: e.Username, Password: e.Password.Reveal(),
		CAFile: e.CA,
	}
}

// Mail is the part of the settings that mails are written by.
func Mail(s config.Settings) notify.Config {
	return notify.Config{
		From: s.Mail.SenderEmail, FromName: s.Mail.SenderName, DefaultLanguage: s.Account.Language,
		Site: site(s), Logo: s.Mail.Logo, Templates: s.Mail.Templates, LinkLife: s.Mail.TokenExpire,
	}
}

// SMTP is the part of the settings that the SMTP server is used by.
func SMTP(s config.Settings) smtp.Config {
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

// KYC is the part of the settings that KYCAID is used by.
func KYC(s config.Settings) kycaid.Config {
	site, _ := s.Site()
	return kycaid.Config{
		Token: s.External.KYCAIDToken.Reveal(), Address: s.External.KYCAIDURL, Form: s.External.KYCAIDForm,
		Callback: site + "/api/v2/barong/public/kyc",
	}
}

// Bucket is the part of the settings that files in S3 are kept by.
func Bucket(s config.Settings) s3.Config {
	f := s.Storage
	return s3.Config{
		Endpoint: f.Endpoint, Region: f.Region, Bucket: f.Bucket, Prefix: f.Prefix, AccessKey: f.AccessKey.Reveal(),
		SecretKey: f.SecretKey.Reveal(), PathStyle: f.PathStyle, Timeout: f.Timeout,
	}
}

// Scanner is the part of the settings that files are scanned by.
func Scanner(s config.Settings) clamd.Config {
	return clamd.Config{Address: s.Storage.Clamd, Timeout: s.Storage.ClamdTimeout}
}

// Twilio is the part of the settings that Twilio is used by.
func Twilio(s config.Settings) twilio.Config {
	e := s.External
	return twilio.Config{
		AccountSID: e.TwilioAccount, AuthToken: e.TwilioToken.Reveal(), From: e.TwilioNumber, ServiceSID: e.TwilioService,
		Address: e.TwilioURL,
	}
}

// Auth0 is the part of the settings that Auth0 is used by.
func Auth0(s config.Settings) auth0.Config {
	return auth0.Config{Domain: s.External.Auth0Domain, ClientID: s.External.Auth0ClientID}
}

// GeeTest is the part of the settings that GeeTest is used by.
func GeeTest(s config.Settings) captcha.GeeTestConfig {
	id, key := s.Captcha.Keys()
	return captcha.GeeTestConfig{ID: id, Key: key.Reveal(), Address: s.Captcha.URL}
}

// Captcha is the part of the settings that the other captchas are checked by.
func Captcha(s config.Settings) captcha.SiteVerifyConfig {
	site, key := s.Captcha.Keys()
	return captcha.SiteVerifyConfig{
		Service: s.Captcha.Kind, Secret: key.Reveal(), SiteKey: site, Hosts: s.Captcha.Hosts, Address: s.Captcha.URL,
	}
}
