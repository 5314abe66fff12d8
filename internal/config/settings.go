package config

import (
	"net/netip"
	"strings"
	"time"
)

// Settings is every setting. A field's tags are its contract:
//
//	key      name in barong.yaml; BARONG_<KEY> in the environment
//	default  text form of the default, as it would be written in the environment
//	unit     of plain numbers for durations: "s" (default) or "ms"
//	enum     allowed values
//	min,max  bounds of integers
//	follows  a setting to which this one adapts unless it is set
//	secret   "yes": never printed, and BARONG_<KEY>_FILE may name a file that holds it
//	alias    a further name that means the same (the reference's)
//	doc      one sentence for the reference
type Settings struct {
	Listen   Listen   `group:"Listeners"`
	TLS      TLS      `group:"TLS"`
	Stores   Stores   `group:"Stores and secrets"`
	Redis    Redis    `group:"Redis"`
	Policy   Policy   `group:"Policy"`
	Peers    Peers    `group:"Management API"`
	Decision Decision `group:"Decisions"`
	Client   Client   `group:"Client address"`
	Session  Session  `group:"Sessions"`
	APIKey   APIKey   `group:"API keys"`
	Token    Token    `group:"Tokens"`
	Account  Account  `group:"Accounts"`
	Passkeys Passkeys `group:"Passkeys"`
	Abuse    Abuse    `group:"Abuse"`
	Captcha  Captcha  `group:"Captcha"`
	Mail     Mail     `group:"Mail"`
	Events   Events   `group:"Events"`
	External External `group:"Outside services"`
	Storage  Storage  `group:"Uploaded files"`
	Uploads  Uploads  `group:"Documents"`
	REST     REST     `group:"REST"`
	Audit    Audit    `group:"Audit"`
	Process  Process  `group:"Process"`
}

// Listen names the listeners.
type Listen struct {
	HTTP       string `key:"http_addr" default:"127.0.0.1:8001" doc:"Address of the REST API."`
	GRPC       string `key:"grpc_addr" default:"127.0.0.1:9001" doc:"Address of Envoy's ext_authz service and grpc.health.v1; unix:///path makes a socket of mode 0660."`
	Forward    string `key:"forward_addr" default:"127.0.0.1:8002" doc:"Address of forward-auth decisions over HTTP, and nothing else."`
	Ops        string `key:"ops_addr" default:"127.0.0.1:9091" doc:"Address of /healthz, /readyz, /metrics and, when pprof is on, /debug/pprof."`
	Management string `key:"management_addr" default:"" doc:"Address of the management API and nothing else. Empty means that it stands beside the REST API, which answers 404 for it otherwise."`
	Gate       string `key:"gate" default:"auto" enum:"auto,embedded,off" doc:"embedded takes every request of the REST listener through the decision in process, so that everything works without a proxy; only with SQLite and loopback listeners, where auto means it. Elsewhere auto means off."`
	Control    string `key:"control_socket" default:"" doc:"Socket by which commands reach the service that has the database open, of mode 0600; empty means control.sock beside the SQLite file and none with PostgreSQL, off means none."`
	PProf      bool   `key:"pprof" default:"false" doc:"Serve /debug/pprof on the ops listener."`
}

// TLS names the certificates of the listeners.
type TLS struct {
	HTTPCert           string `key:"http_tls_cert" default:"" doc:"PEM file of the REST listener's certificate chain; empty means no TLS. The files are read again when they change."`
	HTTPKey            string `key:"http_tls_key" default:"" doc:"PEM file of its private key."`
	HTTPClientCA       string `key:"http_tls_client_ca" default:"" doc:"PEM file of authorities; when given, clients must show a certificate of theirs."`
	GRPCCert           string `key:"grpc_tls_cert" default:"" doc:"PEM file of the gRPC listener's certificate chain; empty means no TLS. The files are read again when they change."`
	GRPCKey            string `key:"grpc_tls_key" default:"" doc:"PEM file of its private key."`
	GRPCClientCA       string `key:"grpc_tls_client_ca" default:"" doc:"PEM file of authorities; when given, clients must show a certificate of theirs."`
	ForwardCert        string `key:"forward_tls_cert" default:"" doc:"PEM file of the forward-auth listener's certificate chain; empty means no TLS. The files are read again when they change."`
	ForwardKey         string `key:"forward_tls_key" default:"" doc:"PEM file of its private key."`
	ForwardClientCA    string `key:"forward_tls_client_ca" default:"" doc:"PEM file of authorities; when given, clients must show a certificate of theirs."`
	ManagementCert     string `key:"management_tls_cert" default:"" doc:"PEM file of the management listener's certificate chain; empty means no TLS. The files are read again when they change."`
	ManagementKey      string `key:"management_tls_key" default:"" doc:"PEM file of its private key."`
	ManagementClientCA string `key:"management_tls_client_ca" default:"" doc:"PEM file of authorities; when given, clients must show a certificate of theirs."`
}

// A Certificate names the files of one listener's TLS; no Cert means none.
type Certificate struct{ Cert, Key, ClientCA string }

// HTTP, GRPC, Forward and Management are the files of each listener.
func (t TLS) HTTP() Certificate { return Certificate{t.HTTPCert, t.HTTPKey, t.HTTPClientCA} }
func (t TLS) GRPC() Certificate { return Certificate{t.GRPCCert, t.GRPCKey, t.GRPCClientCA} }
func (t TLS) Forward() Certificate {
	return Certificate{t.ForwardCert, t.ForwardKey, t.ForwardClientCA}
}
func (t TLS) Management() Certificate {
	return Certificate{t.ManagementCert, t.ManagementKey, t.ManagementClientCA}
}

// Stores names the database and its key.
type Stores struct {
	DatabaseURL      string        `key:"database_url" default:"sqlite:data/barong.db" secret:"yes" doc:"sqlite:PATH keeps everything in one file for one process; postgres://… is for several, with libpq's parameters."`
	MaxConns         int           `key:"database_max_conns" default:"20" min:"2" doc:"Connections to PostgreSQL at most."`
	StatementTimeout time.Duration `key:"database_statement_timeout" default:"30s" doc:"Longest time of one statement on PostgreSQL; 0 sets none."`
	SecretKey        Secret        `key:"secret_key" default:"" secret:"yes" doc:"32 bytes in base64 that seal secret columns and signing keys. Empty with SQLite: secret.key beside the database is used, and made at the first start. Mandatory with PostgreSQL."`
	OtherKeys        Secret        `key:"secret_keys_other" default:"" secret:"yes" doc:"Comma-separated keys as secret_key that open and seal nothing: the next one before the key is changed, the former one until barong keys reseal has ended."`
}

// OtherKeyTexts are the keys of OtherKeys.
func (s Stores) OtherKeyTexts() (all []string) {
	for text := range strings.SplitSeq(s.OtherKeys.Reveal(), ",") {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// Redis says where sessions, nonces and counters are when they are not tables.
type Redis struct {
	URL              Secret        `key:"redis_url" default:"" secret:"yes" doc:"redis://[user:password@]host[:port][/db], or rediss:// for TLS; empty keeps sessions, nonces and counters in the database. With Sentinels it names no host."`
	Username         string        `key:"redis_username" default:"" doc:"ACL user, unless the URL names one."`
	Password         Secret        `key:"redis_password" default:"" secret:"yes" doc:"Its password."`
	Sentinels        []string      `key:"redis_sentinels" default:"" doc:"Addresses of Sentinels."`
	Master           string        `key:"redis_sentinel_master" default:"" doc:"Name by which the Sentinels know the master."`
	SentinelUsername string        `key:"redis_sentinel_username" default:"" doc:"ACL user of the Sentinels."`
	SentinelPassword Secret        `key:"redis_sentinel_password" default:"" secret:"yes" doc:"Its password."`
	Cluster          []string      `key:"redis_cluster" default:"" doc:"Addresses of some nodes of a Redis Cluster; the others are learnt."`
	CA               string        `key:"redis_ca" default:"" doc:"PEM file of the authorities to believe instead of the system's."`
	Cert             string        `key:"redis_cert" default:"" doc:"PEM file of the certificate to show."`
	Key              string        `key:"redis_key" default:"" doc:"PEM file of its private key."`
	ServerName       string        `key:"redis_server_name" default:"" doc:"Name that the server's certificate must have; empty means the host dialled."`
	Timeout          time.Duration `key:"redis_timeout" default:"200ms" doc:"Longest time of one exchange."`
	DialTimeout      time.Duration `key:"redis_dial_timeout" default:"200ms" doc:"Longest time of making a connection."`
	Pool             int           `key:"redis_pool" default:"32" min:"1" doc:"Connections to each server."`
	Prefix           string        `key:"redis_prefix" default:"barong:" doc:"Beginning of every key."`
}

// Policy says where the rules come from and how they are read.
type Policy struct {
	Seeds         string        `key:"seeds" alias:"seeds_file" default:"" doc:"YAML file of levels, permissions, restrictions and users in the reference's shape; empty means the built-in one."`
	AuthzRules    string        `key:"authz_rules" alias:"authz_rules_file" default:"" doc:"YAML file of pass and block rules in the reference's shape; empty means the built-in one."`
	Config        string        `key:"config" alias:"config_file" default:"" doc:"YAML file of activation requirements, state triggers and document types in the reference's shape; empty means the built-in one."`
	Abilities     string        `key:"abilities" alias:"abilities_file" default:"" doc:"YAML file of the rights of staff roles in the admin API, in the reference's shape; empty means the built-in one."`
	WhitelinkUses int           `key:"whitelink_uses" default:"1" min:"1" doc:"Addresses that one whitelink admits."`
	Components    []string      `key:"gateway_components" default:"barong,peatio,ranger,applogic,arke,finex,open_finance" doc:"Third path segments (api/v2/<component>) that may be asked for at all; * lifts the rule."`
	PathMatching  string        `key:"path_matching" default:"segment" enum:"segment,prefix" doc:"segment matches rule paths at segment boundaries; prefix is the reference's plain string prefix."`
	MaxMindDBPath string        `key:"maxminddb_path" default:"" doc:"MaxMind country database; empty means that country and continent restrictions never match. The file is read again when it changes."`
	GeoIPLang     string        `key:"geoip_lang" default:"en" enum:"en,de,es,fr,ja,ru" doc:"Language of country names in activities."`
	MaxStale      time.Duration `key:"policy_max_stale" default:"300s" doc:"Longest time that a policy may be served without having been confirmed against the database; after it every decision is 503."`
}

// Peers says which services may call the management API, and how often the same message counts.
type Peers struct {
	File   string `key:"management_api" alias:"management_api_file" default:"" doc:"YAML file of the services that may call the management API, their public keys and scopes, in the reference's shape; empty means the built-in one, which has none."`
	Replay string `key:"management_replay" default:"enforce" enum:"enforce,off" doc:"enforce wants jti and exp in every message, at most 300 s after iat, and accepts each message once. off takes messages of old callers as often as they come, and forever those without exp."`
}

// Decision shapes the answers.
type Decision struct {
	RBACDeniedStatus   int           `key:"rbac_denied_status" default:"401" enum:"401,403" doc:"HTTP status of authz.invalid_permission."`
	OutageAnswer       string        `key:"outage_answer" default:"error" enum:"error,deny" doc:"Answer to Envoy over gRPC in an outage: error_response (counted as an error), or denied_response. Both are 503."`
	ForwardCredentials bool          `key:"forward_credentials" default:"false" doc:"Let the session cookie and the X-Auth-* headers reach upstreams."`
	DynamicMetadata    bool          `key:"dynamic_metadata" default:"false" doc:"Send dynamic_metadata {uid, role, reason, snapshot, decision} to Envoy."`
	CSRFProtection     bool          `key:"csrf_protection" default:"true" doc:"Demand X-CSRF-Token for state-changing requests by cookie."`
	Origins            []string      `key:"allowed_origins" default:"" doc:"Origins (scheme://host[:port]) whose pages may open websockets by cookie, besides the request's own host; * never counts."`
	WebsocketPaths     []string      `key:"websocket_paths" default:"api/v2/ranger" doc:"Paths where websockets may open, each with all below it. Elsewhere, and for any other protocol (Upgrade: h2c), an upgrade is refused: Barong sees nothing of the traffic through it."`
	LogSample          int           `key:"decision_log_sample" default:"1000" min:"0" doc:"Log one of so many allowed decisions; 0 logs none, 1 every one. Denials are always logged."`
	CacheMaxStale      time.Duration `key:"cache_max_stale" default:"30s" follows:"policy_max_stale" doc:"Longest time without reading the change feed during which cached accounts, keys and sessions are believed. At most policy_max_stale; of the two, one that is not set adapts to the other."`
	Deadline           time.Duration `key:"decision_timeout" default:"800ms" doc:"Longest time that one decision may wait for a store; keep it below the proxy's timeout."`
	GRPCCodec          string        `key:"grpc_codec" default:"own" enum:"own,generated" doc:"own is our decoder of CheckRequest, generated that of protobuf-go."`
	MaxConnectionAge   time.Duration `key:"grpc_max_connection_age" default:"30m" doc:"Age at which gRPC connections are asked to reconnect, so that load spreads over replicas."`
}

// Client says whom to believe about the client's address.
type Client struct {
	TrustedProxies  []netip.Prefix `key:"trusted_proxies" default:"127.0.0.0/8,::1/128" doc:"Networks whose X-Forwarded-For entries are believed; empty believes none."`
	Gateway         string         `key:"gateway" default:"none" enum:"none,cloudflare,akamai" doc:"Edge network whose client address header is believed, from its own networks only."`
	GatewayNetworks []netip.Prefix `key:"gateway_networks" default:"" doc:"Networks of the edge; empty means the built-in list for cloudflare. Mandatory for akamai."`
}

// Session shapes browser sessions.
type Session struct {
	Name      string        `key:"session_name" default:"_barong_session" doc:"Name of the session cookie."`
	Expire    time.Duration `key:"session_expire_time" default:"1800s" doc:"Idle time after which a session ends."`
	Absolute  time.Duration `key:"session_absolute_lifetime" default:"24h" follows:"session_expire_time" doc:"Age at which a session ends whatever its use. At least session_expire_time; of the two, one that is not set adapts to the other."`
	MaskV4    int           `key:"session_ip_v4_mask" default:"16" min:"0" max:"32" doc:"Bits of the IPv4 address that must stay the same; 0 switches the check off."`
	MaskV6    int           `key:"session_ip_v6_mask" default:"64" min:"0" max:"128" doc:"Bits of the IPv6 address that must stay the same; 0 switches the check off."`
	Secure    string        `key:"session_cookie_secure" default:"auto" enum:"auto,true,false" doc:"Secure attribute of the cookie; auto leaves it out only where the embedded gate speaks plain http on loopback."`
	CacheSize int           `key:"session_cache_size" default:"1000000" min:"1" doc:"Sessions kept in memory."`
}

// APIKey shapes signed requests.
type APIKey struct {
	NonceLifetime time.Duration `key:"apikey_nonce_lifetime" default:"5000ms" unit:"ms" doc:"How far a nonce may be from the server's clock. A plain number is milliseconds."`
	Replay        string        `key:"apikey_replay" default:"off" enum:"off,monitor,enforce" doc:"Treatment of a nonce that was used before: ignore, count, or refuse it."`
	Forbidden     []string      `key:"apikey_forbidden" default:"api/v2/barong/resource/otp,api/v2/barong/resource/passkeys,api/v2/barong/resource/sessions,api/v2/barong/resource/api_keys,api/v2/barong/resource/service_accounts,api/v2/barong/resource/users/password,api/v2/barong/admin" doc:"Paths that API keys may not reach: a leaked key must not become the account, nor staff."`
	ScopeEnforce  bool          `key:"apikey_scope_enforce" default:"false" doc:"Hold imported API keys, too, to their scope; off, only keys that got theirs from this service are, and barong_apikey_unscoped_total counts what would be refused."`
	ListedScopes  []string      `key:"apikey_listed_scopes" default:"withdraw" doc:"Scopes that an API key has only with an ip_whitelist; * is a key without a scope, which may use all of them."`
	ShortScopes   []string      `key:"apikey_short_scopes" default:"trade,withdraw" doc:"Scopes that an API key without an ip_whitelist has for apikey_short_life at most; * is a key without a scope."`
	ShortLife     time.Duration `key:"apikey_short_life" default:"2160h" doc:"Longest life of such a key; 0 sets no bound."`
	ManageUsers   bool          `key:"mgn_api_keys_user" default:"false" doc:"Let peer services make and change API keys of users by the management API."`
	ManageRobots  bool          `key:"mgn_api_keys_sa" default:"false" doc:"The same for API keys of service accounts."`
	StopOnReset   bool          `key:"apikey_stop_on_reset" default:"true" doc:"At a password reset by mail, switch the user's API keys off, and those of the user's service accounts, until their owner switches them on again with the second factor. A change with the old password leaves them."`
	StopOn2FALoss bool          `key:"apikey_stop_on_2fa_loss" default:"true" doc:"The same when the second factor is switched off, by the user or by staff. Otherwise keys of the user are refused until there is one again, and those of service accounts go on."`
	CacheSize     int           `key:"apikey_cache_size" default:"200000" min:"1" doc:"API keys kept in memory."`
}

// Token shapes bearer tokens.
type Token struct {
	Algorithm   string        `key:"jwt_algorithm" default:"RS256" enum:"RS256,ES256,EdDSA" doc:"Algorithm of new bearer keys."`
	Expire      time.Duration `key:"jwt_expire_time" default:"300s" doc:"Lifetime of bearer tokens."`
	Reuse       time.Duration `key:"jwt_reuse" default:"60s" follows:"jwt_expire_time" doc:"How long a minted token is given again for the same credential; 0 mints every time. At most half of jwt_expire_time, to which it adapts unless it is set."`
	IatBackdate time.Duration `key:"jwt_iat_backdate" default:"1s" doc:"How far iat lies in the past, for consumers whose clocks lag."`
	Party       string        `key:"jwt_azp" default:"class" enum:"class,component" doc:"Claim azp of bearer tokens, for whom they are: class is barong on Barong's own paths and components elsewhere; component is the third segment of the path, and needs gateway_components to list names."`
	JWKSMaxAge  time.Duration `key:"jwks_max_age" default:"300s" doc:"How long consumers may cache the key set; a key is published this long before it signs and after."`
	RotateEvery time.Duration `key:"jwt_rotate_every" default:"0" doc:"Age at which the bearer key is replaced by itself; 0 leaves it to keys rotate."`
}

// Account shapes accounts and passwords.
type Account struct {
	UIDPrefix   string        `key:"uid_prefix" default:"ID" match:"^[A-Za-z]{2,6}$" doc:"First letters of user uids; upper-cased."`
	AppName     string        `key:"app_name" default:"Barong" doc:"Issuer shown in authenticator apps."`
	MinEntropy  int           `key:"password_min_entropy" default:"14" min:"0" doc:"Least strength of new passwords, in bits as the reference counts them."`
	Pattern     string        `key:"password_regexp" default:"" doc:"Expression (RE2) that new passwords must match as a whole; empty means a lower-case and an upper-case letter, a digit, 8 to 80 characters."`
	Dictionary  bool          `key:"password_use_dictionary" default:"true" doc:"Hold it against a new password that it is made of a common one."`
	MemberRoles []string      `key:"member_roles" default:"member,trader,broker,maker,sa_maker,service_account" doc:"Roles of the lowest rank, which staff may give. A role that permissions name and neither this nor the abilities is given by superadmins only."`
	StaffFactor string        `key:"staff_requires_2fa" default:"auto" enum:"auto,true,false" doc:"Refuse staff without one-time codes or a passkey in the admin API (403 admin.second_factor.required); auto means true, but false with the embedded gate."`
	FourEyes    []string      `key:"four_eyes" default:"" enum:"staff_role,superadmin,permissions,restrictions,revoke_all" doc:"Changes that wait for another member of the staff to confirm them: docs/four-eyes.md. Empty means none."`
	EyesAbove   int           `key:"four_eyes_principals" default:"0" min:"0" doc:"Changes of permissions and restrictions wait that turn a verdict for more principals than this."`
	Domain      string        `key:"domain" default:"" doc:"Site to which the links in mails lead, with or without scheme; events carry it too. Empty means localhost: set it to yours."`
	Language    string        `key:"default_language" default:"en" match:"^[a-z]{2}$" doc:"Language of mails to people without a choice of their own."`
	HashWorkers int           `key:"password_workers" default:"0" min:"0" doc:"Passwords hashed at once; 0 means half of the processors, at least one."`
	HashQueue   int           `key:"password_queue" default:"32" min:"0" doc:"Sign-ins that may wait for a worker, in turn by network; when all places are taken, the network with most of them gives one up (429); when each is another's, the answer is 503."`
	CacheSize   int           `key:"principal_cache_size" default:"1000000" min:"1" doc:"Accounts kept in memory."`
	LoadsAtOnce int           `key:"cache_loads" default:"64" min:"1" doc:"Cache misses that may ask the database at once."`
	Masking     bool          `key:"api_data_masking_enabled" default:"true" doc:"Hide parts of last names, dates of birth and numbers in the answers to their own user."`
	SigninFloor time.Duration `key:"signin_floor" default:"250ms" doc:"Least time that a refused sign-in takes, so that timing reveals nothing."`
}

// Passkeys names the site that passkeys are for.
type Passkeys struct {
	Site    string   `key:"webauthn_rp_id" default:"" match:"^([a-z0-9-]+([.][a-z0-9-]+)*)?$" doc:"Domain that passkeys are for (WebAuthn's relying party id): that of the pages, or one above it. Empty means localhost with the embedded gate, and no passkeys elsewhere. It cannot be changed later: passkeys of another domain do not work."`
	Origins []string `key:"webauthn_origins" default:"" doc:"Origins (https://host[:port]) of the pages that use passkeys. Mandatory with webauthn_rp_id; with the embedded gate, empty means http://localhost, also with the port of http_addr."`
}

// Abuse bounds the attempts of strangers.
type Abuse struct {
	Limits bool `key:"rate_limits" default:"true" doc:"Limit the work that callers may cause, by account and by network: docs/limits.md. Off is for tests."`
}

// Captcha names the service that distinguishes people from programs.
type Captcha struct {
	Kind            string   `key:"captcha" default:"none" enum:"none,recaptcha,geetest,hcaptcha,turnstile" doc:"Provider; the endpoints it protects are captcha_protected_endpoints of the file BARONG_CONFIG."`
	Hosts           []string `key:"captcha_hosts" default:"" doc:"Host names on whose pages captchas may have been solved; empty means any."`
	RecaptchaSite   string   `key:"recaptcha_site_key" default:"" doc:"Public key of reCAPTCHA."`
	RecaptchaSecret Secret   `key:"recaptcha_secret_key" default:"" secret:"yes" doc:"Secret key of reCAPTCHA."`
	GeetestID       string   `key:"geetest_id" default:"" doc:"Public id of GeeTest."`
	GeetestKey      Secret   `key:"geetest_key" default:"" secret:"yes" doc:"Secret key of GeeTest."`
	HcaptchaSite    string   `key:"hcaptcha_site_key" default:"" doc:"Public key of hCaptcha."`
	HcaptchaSecret  Secret   `key:"hcaptcha_secret_key" default:"" secret:"yes" doc:"Secret key of hCaptcha."`
	TurnstileSite   string   `key:"turnstile_site_key" default:"" doc:"Public key of Turnstile."`
	TurnstileSecret Secret   `key:"turnstile_secret_key" default:"" secret:"yes" doc:"Secret key of Turnstile."`
	URL             string   `key:"captcha_url" default:"" doc:"Where the provider is asked, instead of its own address."`
}

// Mail says how mails are written and sent.
type Mail struct {
	Delivery    string        `key:"mail_delivery" default:"auto" enum:"auto,smtp,folder,off" doc:"folder writes mails to the folder outbox beside the SQLite file and prints their links on the terminal; auto is folder with the embedded gate and smtp elsewhere. off leaves them to a consumer of the events."`
	Rules       string        `key:"mailer" alias:"mailer_file" default:"" doc:"YAML file of which events become mails, in the reference's shape; empty means the built-in one."`
	Templates   string        `key:"mail_templates" default:"" doc:"Folder whose files replace built-in templates of the same name."`
	SenderEmail string        `key:"sender_email" default:"noreply@barong.io" doc:"Address that mails come from."`
	SenderName  string        `key:"sender_name" default:"Barong" doc:"Name before it."`
	Host        string        `key:"smtp_host" default:"localhost" doc:"SMTP server."`
	Port        int           `key:"smtp_port" default:"1025" min:"1" max:"65535" doc:"Its port."`
	User        string        `key:"smtp_user" default:"" doc:"User to sign in as; empty means none."`
	Password    Secret        `key:"smtp_password" default:"" secret:"yes" doc:"Its password."`
	TLS         string        `key:"smtp_tls" default:"auto" enum:"auto,implicit,starttls,opportunistic,none" doc:"auto is implicit on port 465, opportunistic to loopback, where no certificate is asked for, and starttls elsewhere."`
	CA          string        `key:"smtp_ca" default:"" doc:"PEM file of the authorities to believe instead of the system's."`
	Helo        string        `key:"smtp_helo" default:"" doc:"Our name in EHLO: a host name with a dot, or an address in brackets. Empty means the domain of sender_email, else that of domain; it is never the machine's own name."`
	Logo        string        `key:"smtp_logo_link" default:"" doc:"Address of a picture at the head of mails."`
	TokenExpire time.Duration `key:"mail_token_expire_time" default:"3600s" doc:"How long links in mails work."`
}

// Events names the broker.
type Events struct {
	URL      Secret `key:"event_api_rabbitmq_url" default:"" secret:"yes" doc:"amqp://user:password@host:port/vhost, or amqps:// for TLS; goes before the four below."`
	Host     string `key:"event_api_rabbitmq_host" default:"" doc:"RabbitMQ server; with this and the URL empty, events are not published."`
	Port     int    `key:"event_api_rabbitmq_port" default:"5672" min:"1" max:"65535" doc:"Its port."`
	Username string `key:"event_api_rabbitmq_username" default:"guest" doc:"User to sign in as."`
	Password Secret `key:"event_api_rabbitmq_password" default:"guest" secret:"yes" doc:"Its password."`
	CA       string `key:"event_api_rabbitmq_ca" default:"" doc:"PEM file of the authorities to believe instead of the system's."`
}

// External names services that know people.
type External struct {
	Auth0Domain    string `key:"auth0_domain" default:"" doc:"Tenant of Auth0, as in https://<domain>/; empty switches sign-in with it off."`
	Auth0ClientID  string `key:"auth0_client_id" default:"" doc:"Client whose ID tokens are taken."`
	KYCProvider    string `key:"kyc_provider" default:"local" enum:"local,kycaid" doc:"Checker of identities: local is staff."`
	SecondReviewer bool   `key:"profile_double_verification" default:"false" doc:"Another member of staff must decide about a profile than the one who stated it, unless profile_verification_roles has the role."`
	KYCAIDToken    Secret `key:"kycaid_authorization_token" default:"" secret:"yes" doc:"API token of KYCAID, which also signs its callbacks; mandatory with it."`
	KYCAIDURL      string `key:"kycaid_api_endpoint" default:"https://api.kycaid.com/" doc:"Address of its API."`
	KYCAIDForm     string `key:"kycaid_form_id" default:"" doc:"Form of our account at KYCAID by which verifications go; empty names none."`
	PhoneKind      string `key:"phone_verification" default:"auto" enum:"auto,off,mock,twilio_sms,twilio_verify" doc:"How phones are verified: docs/phones.md. mock sends nothing and writes codes to the folder outbox beside the SQLite file; auto is mock with the embedded gate and off elsewhere. GET configs says which."`
	TwilioAccount  string `key:"twilio_account_sid" default:"" doc:"Account at Twilio; mandatory with both of its ways."`
	TwilioToken    Secret `key:"twilio_auth_token" default:"" secret:"yes" doc:"Its auth token."`
	TwilioNumber   string `key:"twilio_phone_number" default:"+15005550000" doc:"Number that messages of twilio_sms come from."`
	TwilioService  string `key:"twilio_service_sid" default:"" doc:"Service of twilio_verify, mandatory with it."`
	TwilioURL      string `key:"twilio_url" default:"" doc:"Where Twilio is asked, instead of its own addresses."`
	SMSTemplate    string `key:"sms_content_template" default:"" doc:"Text of messages with codes, {{code}} being the code; empty means a text in the language of the account (en, ru) with app_name."`
}

// Storage says where uploaded files are kept, and which daemon looks for viruses in them.
type Storage struct {
	Provider     string        `key:"storage_provider" default:"local" enum:"local,s3" doc:"local keeps files in a folder, s3 in a bucket of any service that speaks S3."`
	Folder       string        `key:"storage_folder" default:"" doc:"Folder of local; empty means documents beside the SQLite file, or data/documents with PostgreSQL. Replicas must share it."`
	Endpoint     string        `key:"storage_endpoint" default:"https://s3.amazonaws.com" doc:"Address of the S3 service, https://host[:port]; http to this machine alone."`
	Bucket       string        `key:"storage_bucket_name" default:"" doc:"Bucket of s3; mandatory with it."`
	Prefix       string        `key:"storage_prefix" default:"" doc:"Beginning of the names of all objects, without the slash after it, for a bucket that others use too."`
	Region       string        `key:"storage_region" default:"" doc:"Region of the bucket; empty asks the service."`
	AccessKey    Secret        `key:"storage_access_key" default:"" secret:"yes" doc:"Access key of s3; mandatory with it."`
	SecretKey    Secret        `key:"storage_secret_key" default:"" secret:"yes" doc:"Its secret key."`
	PathStyle    bool          `key:"storage_pathstyle" default:"false" doc:"Name the bucket in the path of requests everywhere; else it is part of the host at the services that are known to want that."`
	Timeout      time.Duration `key:"storage_timeout" default:"30s" doc:"Longest time of a write to s3, and of each wait for more of a file from it."`
	Clamd        string        `key:"clamd_address" default:"" doc:"Daemon of ClamAV, host:port or unix:///path, that looks at every upload: an infected one is refused, and all are while it does not answer. Empty scans nothing. Its StreamMaxLength and MaxFileSize must be at least the largest upload, and AlertExceedsMax on."`
	ClamdTimeout time.Duration `key:"clamd_timeout" default:"30s" doc:"Longest time of one scan."`
}

// Uploads shapes documents and their files.
type Uploads struct {
	NeedExpiry  bool     `key:"required_docs_expire" default:"true" doc:"Whether a document must have a day of expiry that is not over; those of addresses need none."`
	Most        int      `key:"doc_num_limit" default:"10" min:"1" max:"1000" doc:"Documents that a user may have, those of addresses among them."`
	SizeMin     int      `key:"upload_size_min_range" default:"1" min:"1" doc:"Least size of a file in bytes."`
	SizeMax     int      `key:"upload_size_max_range" default:"10" min:"1" max:"50" doc:"Largest size of a file in megabytes of 1048576 bytes."`
	Extensions  []string `key:"upload_extension_whitelist" default:"jpg,jpeg,png,pdf" doc:"Extensions of files that may be uploaded, of jpg, jpeg, png, gif and pdf; the content must be of the same kind."`
	LinkMinutes int      `key:"upload_auth_url_expiration" default:"1" min:"1" max:"1440" doc:"Minutes for which a link to a file works."`
	AtOnce      int      `key:"uploads_at_once" default:"8" min:"1" doc:"Requests with files that this process reads at once, of which one account has four; the files of each take at most 68 MB of disk until they are stored."`
	Spool       string   `key:"upload_spool" default:"" doc:"Folder in which files are until they are stored; empty means the system's for temporary files. It should not be in memory."`
}

// REST shapes the REST listener.
type REST struct {
	CORSOrigins     []string      `key:"api_cors_origins" default:"" doc:"Origins that may call the REST API from a browser; * is any, without credentials."`
	CORSMaxAge      time.Duration `key:"api_cors_max_age" default:"3600s" doc:"How long browsers may remember a preflight answer."`
	CORSCredentials bool          `key:"api_cors_allow_credentials" default:"false" doc:"Let listed origins send cookies."`
	SuccessStatus   string        `key:"success_status" default:"documented" enum:"documented,reference" doc:"Status of answers that say done: those of the published documents, or those that the reference sends where they differ, for clients that compare with 200."`
	MaxBody         int           `key:"max_body_bytes" default:"1048576" min:"1024" doc:"Largest request body."`
}

// Audit shapes activities.
type Audit struct {
	Required bool          `key:"audit_required" default:"false" doc:"Refuse decisions with 503 when not even the spill file can take their activity."`
	Flush    time.Duration `key:"audit_flush_interval" default:"200ms" doc:"Longest time that an activity waits in memory; kill -9 loses at most this much."`
	Queue    int           `key:"audit_queue" default:"8192" min:"1" doc:"Activities that may wait in memory."`
	Spill    string        `key:"audit_spill" default:"" doc:"File that takes activities while the database cannot; empty means audit.spill beside the SQLite file, or in data/ with PostgreSQL."`
	Keep     time.Duration `key:"activities_keep" default:"8760h" doc:"Age at which activities are deleted, by the database's clock; 0 keeps them for ever."`
	SpillMax int           `key:"audit_spill_max" default:"67108864" min:"0" doc:"Largest size of the spill file in bytes."`
}

// Process shapes the process itself.
type Process struct {
	LogLevel        string        `key:"log_level" default:"info" enum:"debug,info,warn,error" doc:"Least level of log lines."`
	LogFormat       string        `key:"log_format" default:"auto" enum:"auto,json,text" doc:"auto is text on a terminal and JSON elsewhere."`
	ShutdownTimeout time.Duration `key:"shutdown_timeout" default:"20s" follows:"drain_delay" doc:"Longest time from SIGTERM to exit. More than drain_delay: unless it is set, at least ten seconds more."`
	DrainDelay      time.Duration `key:"drain_delay" default:"0" doc:"How long health says NOT_SERVING before connections are asked to leave; give it over twice the interval of the proxy's health checks (2500ms for the shipped Envoy files)."`
}

// A Secret is text that must not be printed.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[hidden]"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }
