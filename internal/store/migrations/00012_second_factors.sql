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

INSERT INTO schema_versions (version, oldest) VALUES (12, 7);
