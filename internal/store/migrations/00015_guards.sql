-- +goose Up
-- Which older programs may serve beside each version of the schema: those that know version
-- oldest or a later one. Every migration from here on says so of itself; a program refuses a
-- schema that is newer than all it knows and that does not declare it.
CREATE TABLE schema_versions (
	version BIGINT PRIMARY KEY,
	oldest  BIGINT NOT NULL CHECK (oldest <= version)
);
INSERT INTO schema_versions (version, oldest) VALUES (15, 15);

-- A value that only the sealing key of this database opens; written by the first program that
-- opens the database.
CREATE TABLE seal_check (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	uuid   {{.TEXT}} NOT NULL,
	sealed {{.BYTES}} NOT NULL
);
