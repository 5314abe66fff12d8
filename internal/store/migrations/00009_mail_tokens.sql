-- +goose Up
-- A mailed link that still works; gone once used. hash is SHA-256 over its purpose, user,
-- address and jti: the table opens no account. The newest have the highest ids.
CREATE TABLE mail_tokens (
	id         {{.PK}},
	hash       {{.BYTES}} NOT NULL UNIQUE,
	user_uid   {{.TEXT}} NOT NULL REFERENCES users (uid) ON DELETE CASCADE,
	purpose    {{.TEXT}} NOT NULL CHECK (length(purpose) BETWEEN 1 AND 255),
	expires_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX mail_tokens_user ON mail_tokens (user_uid, purpose, id);
CREATE INDEX mail_tokens_expiry ON mail_tokens (expires_at);
