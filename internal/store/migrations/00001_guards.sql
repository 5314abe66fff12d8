-- +goose Up
-- The tables that a program reads before it changes or serves the database, all in the first step.

-- Which older programs may serve beside each version of the schema: those that know version
-- oldest or a later one. Every migration says so of itself; a program refuses a schema that is
-- newer than all it knows and that does not declare it.
CREATE TABLE schema_versions (
	version BIGINT PRIMARY KEY,
	oldest  BIGINT NOT NULL CHECK (oldest <= version)
);

-- A value that only the sealing key of this database opens; written by the first program that
-- opens the database.
CREATE TABLE seal_check (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	uuid   {{.TEXT}} NOT NULL,
	sealed {{.BYTES}} NOT NULL
);

-- private_pem is sealed.
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

INSERT INTO schema_versions (version, oldest) VALUES (1, 1);
