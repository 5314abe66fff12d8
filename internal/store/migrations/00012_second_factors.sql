-- +goose Up
-- Recovery codes that still work; deleted by their use. hash is the keyed hash of the user's uid and
-- the code, under the key that key_id names: the table opens no account.
CREATE TABLE recovery_codes (
	id         {{.PK}},
	user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	hash       {{.BYTES}} NOT NULL UNIQUE,
	key_id     {{.TEXT}} NOT NULL CHECK (length(key_id) <= 255),
	created_at BIGINT NOT NULL
);
CREATE INDEX recovery_codes_user ON recovery_codes (user_id, id);

INSERT INTO schema_versions (version, oldest) VALUES (12, 7);
