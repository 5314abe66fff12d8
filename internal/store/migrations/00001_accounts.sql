-- +goose Up
CREATE TABLE users (
	id                 {{.PK}},
	uid                {{.TEXT}} NOT NULL UNIQUE CHECK (length(uid) BETWEEN 1 AND 255),
	email              {{.TEXT}} NOT NULL UNIQUE CHECK (length(email) BETWEEN 1 AND 255),
	username           {{.TEXT}} UNIQUE CHECK (length(username) <= 255),
	password_digest    {{.TEXT}} NOT NULL CHECK (length(password_digest) <= 255),
	role               {{.TEXT}} NOT NULL DEFAULT 'member' CHECK (length(role) <= 255),
	level              INTEGER NOT NULL DEFAULT 0,
	otp                BOOLEAN NOT NULL DEFAULT FALSE,
	state              {{.TEXT}} NOT NULL DEFAULT 'pending' CHECK (length(state) <= 255),
	admin_state        {{.TEXT}} NOT NULL DEFAULT '' CHECK (length(admin_state) <= 255),
	data               {{.TEXT}} CHECK (length(data) <= 1024),
	referral_id        BIGINT REFERENCES users (id) ON DELETE SET NULL,
	session_generation BIGINT NOT NULL DEFAULT 0,
	version            BIGINT NOT NULL DEFAULT 1,
	lock_version       BIGINT NOT NULL DEFAULT 1,
	created_at         BIGINT NOT NULL,
	updated_at         BIGINT NOT NULL
);
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
