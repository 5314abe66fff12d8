-- +goose Up
CREATE TABLE signing_keys (
	id           {{.PK}},
	uuid         {{.TEXT}} NOT NULL UNIQUE,
	kid          {{.TEXT}} NOT NULL UNIQUE CHECK (length(kid) BETWEEN 1 AND 255),
	key_use      {{.TEXT}} NOT NULL CHECK (length(key_use) BETWEEN 1 AND 255),
	algorithm    {{.TEXT}} NOT NULL CHECK (length(algorithm) BETWEEN 1 AND 255),
	state        {{.TEXT}} NOT NULL CHECK (length(state) BETWEEN 1 AND 255),
	private_pem  {{.BYTES}} NOT NULL,
	created_at   BIGINT NOT NULL,
	activated_at BIGINT,
	retired_at   BIGINT
);
