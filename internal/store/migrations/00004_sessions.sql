-- +goose Up
-- A session names its user by uid without a foreign key: the same rows may live in Redis,
-- and a session whose user is gone proves nothing. user_agent is bytes because clients send
-- what they like and it is compared byte by byte.
CREATE TABLE sessions (
	id         {{.BYTES}} PRIMARY KEY,
	uid        {{.TEXT}} NOT NULL CHECK (length(uid) BETWEEN 1 AND 255),
	ip         {{.TEXT}} NOT NULL,
	user_agent {{.BYTES}} NOT NULL CHECK (length(user_agent) <= 512),
	csrf_token {{.TEXT}} NOT NULL,
	generation BIGINT NOT NULL,
	epoch      BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_uid ON sessions (uid);

CREATE TABLE ended_sessions (
	id         {{.BYTES}} PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
CREATE INDEX ended_sessions_expiry ON ended_sessions (expires_at);

-- One row: sessions opened in an earlier epoch have ended.
CREATE TABLE session_epoch (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	epoch BIGINT NOT NULL
);
INSERT INTO session_epoch (id, epoch) VALUES (1, 0);

CREATE TABLE nonces (
	kid        {{.TEXT}} NOT NULL CHECK (length(kid) BETWEEN 1 AND 255),
	nonce      {{.TEXT}} NOT NULL CHECK (length(nonce) <= 255),
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (kid, nonce)
);
CREATE INDEX nonces_expiry ON nonces (expires_at);

-- A bucket by the SHA-256 of its key, and when it will be full again: until then it is less
-- than full, after that the row says nothing.
CREATE TABLE limits (
	hash    {{.BYTES}} PRIMARY KEY,
	full_at BIGINT NOT NULL
);
CREATE INDEX limits_full ON limits (full_at);

INSERT INTO schema_versions (version, oldest) VALUES (4, 4);
