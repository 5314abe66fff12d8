-- +goose Up
CREATE TABLE whitelinks (
	hash        {{.BYTES}} PRIMARY KEY,
	creator_uid {{.TEXT}} NOT NULL CHECK (length(creator_uid) <= 255),
	uses        INTEGER NOT NULL,
	expires_at  BIGINT NOT NULL,
	created_at  BIGINT NOT NULL
);
CREATE INDEX whitelinks_expiry ON whitelinks (expires_at);
