package config

// replaced is every setting of the service that this replaces (AZ-310, AZ-311)
// that is none here, and the thing to do instead. Those of the same name and meaning are not in it.
var replaced = []struct {
	names string // variables, separated by blanks
	now   string // a sentence
}{
	{"BARONG_FIRST_REGISTRATION_SUPERADMIN", "nobody becomes superadmin by signing up: barong users create --role superadmin"},
	{"BARONG_ADMIN_EMAIL BARONG_ADMIN_PASSWORD", "templates in the seeds file are not rendered: write the user into it, or barong users create"},
	{"JWT_PRIVATE_KEY_PATH BARONG_JWT_PRIVATE_KEY_PATH BARONG_PRIVATE_KEY",
		"signing keys live in the database: barong keys import FILE --now, once"},
	{"BARONG_JWT_PUBLIC_KEY JWT_PUBLIC_KEY", "it follows from the private key: barong keys public bearer prints it for upstreams"},
	{"JWT_ALGORITHM", "BARONG_JWT_ALGORITHM"},
	{"JWT_ISSUER JWT_AUDIENCE BARONG_JWT_ISSUER BARONG_JWT_AUDIENCE",
		"iss is always barong and aud peatio and barong; upstreams keep theirs"},
	{"JWT_DEFAULT_LEEWAY JWT_ISSUED_AT_LEEWAY JWT_EXPIRATION_LEEWAY JWT_NOT_BEFORE_LEEWAY", "two seconds, fixed"},
	{"BARONG_EVENT_API_JWT_PRIVATE_KEY BARONG_EVENT_API_JWT_ALGORITHM",
		"events have a key of their own, always for RS256: barong keys import FILE --use wire --now"},
	{"EVENT_API_RABBITMQ_URL", "BARONG_EVENT_API_RABBITMQ_URL"},
	{"DATABASE_ADAPTER DATABASE_HOST DATABASE_PORT DATABASE_USER DATABASE_PASS DATABASE_NAME",
		"BARONG_DATABASE_URL, as in postgres://user:password@host:5432/barong"},
	{"REDIS_URL", "BARONG_REDIS_URL"},
	{"SECRET_KEY_BASE BARONG_SECRET_KEY_BASE", "BARONG_SECRET_KEY; columns are sealed in another way, so a new key will do"},
	{"BARONG_VAULT_ADDRESS BARONG_VAULT_TOKEN BARONG_VAULT_APP_NAME",
		"Vault is not used: secrets of one-time codes and API keys are sealed in the database by BARONG_SECRET_KEY"},
	{"BARONG_CRC32_SALT", "indexes of sealed columns are keyed by BARONG_SECRET_KEY"},
	{"BARONG_STORAGE_SIGNATURE_VERSION", "always 4"},
	{"BARONG_KYCAID_SANDBOX_MODE", "the account at KYCAID decides"},
	{"BARONG_SENTRY_DSN_BACKEND SENTRY_DSN_BACKEND", "errors are in the log, which is JSON"},
	{"LOG_LEVEL", "BARONG_LOG_LEVEL"},
	{"PORT", "BARONG_HTTP_ADDR, as in 0.0.0.0:8001"},
	{"WEB_CONCURRENCY RAILS_MIN_THREADS RAILS_MAX_THREADS RAILS_ENV", "one process uses all processors"},
}

// kept are settings of the service that this replaces whose name is the same, and whose
// values or meaning are not.
var kept = []struct{ name, now string }{
	{"BARONG_GATEWAY", "the default is none, not cloudflare: the header of an edge is believed only when it is named"},
	{"BARONG_JWT_EXPIRE_TIME", "the default is 300 s, not an hour; links in mails have BARONG_MAIL_TOKEN_EXPIRE_TIME"},
	{"BARONG_KYC_PROVIDER", "the default is local, not kycaid"},
	{"BARONG_STORAGE_PROVIDER", "local or s3: AWS, AliCloud and Google are s3 with BARONG_STORAGE_ENDPOINT"},
	{"BARONG_STORAGE_BUCKET_NAME", "no default"},
	{"BARONG_PHONE_VERIFICATION", "mock is the default of the embedded run alone, and takes no code but the one that it wrote; elsewhere phones are off until it is set"},
	{"BARONG_TWILIO_SERVICE_SID", "mandatory with twilio_verify: no service is made"},
	{"BARONG_DOMAIN", "no default: links in mails lead to localhost until it is set"},
	{"BARONG_REDIS_URL", "no default: without it the database keeps sessions"},
	{"BARONG_REDIS_CLUSTER", "a list of addresses, not true or false"},
	{"BARONG_EVENT_API_RABBITMQ_HOST", "no default: without it no events are published"},
	{"BARONG_API_CORS_ORIGINS", "no default: no other origin may call"},
	{"BARONG_SMTP_LOGO_LINK", "no default"},
	{"BARONG_CONFIG", "the built-in file is used when it is empty; so with BARONG_SEEDS_FILE and BARONG_AUTHZ_RULES_FILE"},
	{"BARONG_PASSWORD_REGEXP", "an expression of RE2, which has no look-ahead"},
}
