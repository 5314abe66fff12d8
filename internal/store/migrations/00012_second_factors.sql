-- +goose Up
-- Recovery codes that still work; deleted by their use. hash is SHA-256 of the user's uid and the code,
-- which has 80 random bits: the table opens no account.
CREATE TABLE recovery_codes (
	id         {{.PK}},
	user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	hash       {{.BYTES}} NOT NULL UNIQUE,
	created_at BIGINT NOT NULL
);
CREATE INDEX recovery_codes_user ON recovery_codes (user_id, id);

-- The name of a user on devices with passkeys: random.
CREATE TABLE passkey_handles (
	id         {{.PK}},
	user_id    BIGINT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
	handle     {{.BYTES}} NOT NULL UNIQUE,
	created_at BIGINT NOT NULL
);

-- public_key is a COSE_Key. name is sealed: people name devices after themselves.
CREATE TABLE passkeys (
	id            {{.PK}},
	uuid          {{.TEXT}} NOT NULL UNIQUE,
	user_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name          {{.BYTES}} NOT NULL,
	credential_id {{.BYTES}} NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
	public_key    {{.BYTES}} NOT NULL CHECK (length(public_key) <= 2048),
	sign_count    BIGINT NOT NULL,
	synced        BOOLEAN NOT NULL,
	created_at    BIGINT NOT NULL,
	last_used_at  BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id, id);

INSERT INTO schema_versions (version, oldest) VALUES (12, 7);
