-- +goose Up
-- A bucket by the SHA-256 of its key, and when it will be full again: until then it is less
-- than full, after that the row says nothing.
CREATE TABLE limits (
	hash    {{.BYTES}} PRIMARY KEY,
	full_at BIGINT NOT NULL
);
CREATE INDEX limits_full ON limits (full_at);
