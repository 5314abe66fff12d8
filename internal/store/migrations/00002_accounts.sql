-- +goose Up
-- Accounts and their parts. A part refers to its account by the row id, under which the account is
-- never renamed, and goes with it: a secret, a key, a mailed link or a verification of a deleted
-- account must not open anything. Two rows are no parts of the user to whom they refer: an invited
-- user only forgets a deleted inviter; a service account acts for its owner, and so goes too.
--
-- History and messages (activities, outbox) name accounts by uid without a foreign key, since they
-- outlive the account. So do sessions, which may live in Redis, and whitelinks.

-- unproved: the address was given at sign-up, and has not been confirmed since.
-- renewed_*: the session that went on under a new id when session_generation last rose. The old id
-- may read until renewed_until, as long as session_generation is renewed_generation.
CREATE TABLE users (
	id                 {{.PK}},
	uid                {{.TEXT}} NOT NULL UNIQUE CHECK (length(uid) BETWEEN 1 AND 255),
	email              {{.TEXT}} NOT NULL CHECK (length(email) BETWEEN 1 AND 255),
	username           {{.TEXT}} CHECK (length(username) <= 255),
	password_digest    {{.TEXT}} NOT NULL CHECK (length(password_digest) <= 255),
	role               {{.TEXT}} NOT NULL DEFAULT 'member' CHECK (length(role) <= 255),
	level              INTEGER NOT NULL DEFAULT 0,
	otp                BOOLEAN NOT NULL DEFAULT FALSE,
	state              {{.TEXT}} NOT NULL DEFAULT 'pending' CHECK (length(state) <= 255),
	admin_state        {{.TEXT}} NOT NULL DEFAULT '' CHECK (length(admin_state) <= 255),
	unproved           BOOLEAN NOT NULL DEFAULT FALSE,
	data               {{.TEXT}} CHECK (length(data) <= 1024),
	referral_id        BIGINT REFERENCES users (id) ON DELETE SET NULL,
	session_generation BIGINT NOT NULL DEFAULT 0,
	renewed_from       {{.BYTES}},
	renewed_to         {{.BYTES}},
	renewed_until      BIGINT,
	renewed_generation BIGINT,
	version            BIGINT NOT NULL DEFAULT 1,
	lock_version       BIGINT NOT NULL DEFAULT 1,
	created_at         BIGINT NOT NULL,
	updated_at         BIGINT NOT NULL
);
-- A deleted account keeps its address and username, and others may have them.
CREATE UNIQUE INDEX users_email ON users (email) WHERE state <> 'deleted';
CREATE UNIQUE INDEX users_username ON users (username) WHERE state <> 'deleted';
CREATE INDEX users_email_history ON users (email, id);
CREATE INDEX users_state ON users (state, id);
CREATE INDEX users_role ON users (role, id);
CREATE INDEX users_level ON users (level, id);
CREATE INDEX users_created ON users (created_at, id);
CREATE INDEX users_updated ON users (updated_at, id);
CREATE INDEX users_referral ON users (referral_id);

CREATE TABLE service_accounts (
	id           {{.PK}},
	uid          {{.TEXT}} NOT NULL UNIQUE CHECK (length(uid) BETWEEN 1 AND 255),
	owner_id     BIGINT REFERENCES users (id) ON DELETE CASCADE,
	email        {{.TEXT}} NOT NULL UNIQUE CHECK (length(email) BETWEEN 1 AND 255),
	role         {{.TEXT}} NOT NULL DEFAULT 'service_account' CHECK (length(role) <= 255),
	level        INTEGER NOT NULL DEFAULT 0,
	state        {{.TEXT}} NOT NULL DEFAULT 'pending' CHECK (length(state) <= 255),
	version      BIGINT NOT NULL DEFAULT 1,
	lock_version BIGINT NOT NULL DEFAULT 1,
	created_at   BIGINT NOT NULL,
	updated_at   BIGINT NOT NULL
);
CREATE INDEX service_accounts_owner ON service_accounts (owner_id, id);

CREATE TABLE labels (
	id          {{.PK}},
	user_id     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	key         {{.TEXT}} NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
	value       {{.TEXT}} NOT NULL CHECK (length(value) <= 255),
	scope       {{.TEXT}} NOT NULL DEFAULT 'public' CHECK (length(scope) <= 255),
	description {{.TEXT}} CHECK (length(description) <= 255),
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	UNIQUE (user_id, key, scope)
);
CREATE INDEX labels_value ON labels (scope, key, value, user_id);

CREATE TABLE levels (
	id          BIGINT PRIMARY KEY,
	key         {{.TEXT}} NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
	value       {{.TEXT}} NOT NULL CHECK (length(value) <= 255),
	description {{.TEXT}} CHECK (length(description) <= 255),
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	UNIQUE (key, value)
);

CREATE TABLE apikeys (
	id                 {{.PK}},
	uuid               {{.TEXT}} NOT NULL UNIQUE,
	user_id            BIGINT REFERENCES users (id) ON DELETE CASCADE,
	service_account_id BIGINT REFERENCES service_accounts (id) ON DELETE CASCADE,
	kid                {{.TEXT}} NOT NULL UNIQUE CHECK (length(kid) BETWEEN 1 AND 255),
	algorithm          {{.TEXT}} NOT NULL CHECK (length(algorithm) <= 255),
	scope              {{.TEXT}} NOT NULL DEFAULT '[]' CHECK (length(scope) <= 4096),
	secret             {{.BYTES}} NOT NULL CHECK (length(secret) <= 1024),
	state              {{.TEXT}} NOT NULL DEFAULT 'active' CHECK (length(state) <= 255),
	created_at         BIGINT NOT NULL,
	updated_at         BIGINT NOT NULL,
	CONSTRAINT apikeys_one_holder CHECK ((user_id IS NULL) <> (service_account_id IS NULL))
);
CREATE INDEX apikeys_user ON apikeys (user_id, id);
CREATE INDEX apikeys_service_account ON apikeys (service_account_id, id);

CREATE TABLE totp_secrets (
	id         {{.PK}},
	uuid       {{.TEXT}} NOT NULL UNIQUE,
	user_id    BIGINT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
	secret     {{.BYTES}} NOT NULL CHECK (length(secret) <= 1024),
	last_step  BIGINT NOT NULL DEFAULT 0,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

-- A mailed link that still works; deleted by its use. hash is SHA-256 over its purpose, user,
-- address and jti: the table opens no account. The newest links have the highest ids.
CREATE TABLE mail_tokens (
	id         {{.PK}},
	hash       {{.BYTES}} NOT NULL UNIQUE,
	user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	purpose    {{.TEXT}} NOT NULL CHECK (length(purpose) BETWEEN 1 AND 255),
	expires_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX mail_tokens_user ON mail_tokens (user_id, purpose, id);
CREATE INDEX mail_tokens_expiry ON mail_tokens (expires_at);

-- A verification that the KYC provider was asked for; final_status is NULL until it ends. An answer
-- counts only for a row of this table, and only when it names the row's applicant.
CREATE TABLE kyc_verifications (
	id              {{.PK}},
	verification_id {{.TEXT}} NOT NULL UNIQUE CHECK (length(verification_id) BETWEEN 1 AND 255),
	applicant_id    {{.TEXT}} NOT NULL CHECK (length(applicant_id) BETWEEN 1 AND 255),
	user_id         BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind            {{.TEXT}} NOT NULL CHECK (kind IN ('document', 'address')),
	final_status    {{.TEXT}} CHECK (length(final_status) BETWEEN 1 AND 255),
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL
);
CREATE INDEX kyc_verifications_user ON kyc_verifications (user_id, id);

INSERT INTO schema_versions (version, oldest) VALUES (2, 2);
