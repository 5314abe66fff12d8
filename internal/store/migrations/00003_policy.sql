-- +goose Up
CREATE TABLE permissions (
	id           {{.PK}},
	action       {{.TEXT}} NOT NULL CHECK (length(action) BETWEEN 1 AND 255),
	role         {{.TEXT}} NOT NULL CHECK (length(role) BETWEEN 1 AND 255),
	verb         {{.TEXT}} NOT NULL CHECK (length(verb) BETWEEN 1 AND 255),
	path         {{.TEXT}} NOT NULL CHECK (length(path) <= 255),
	topic        {{.TEXT}} NOT NULL DEFAULT '' CHECK (length(topic) <= 255),
	lock_version BIGINT NOT NULL DEFAULT 1,
	created_at   BIGINT NOT NULL,
	updated_at   BIGINT NOT NULL,
	UNIQUE (role, verb, path, action)
);
CREATE INDEX permissions_topic ON permissions (topic);

CREATE TABLE restrictions (
	id           {{.PK}},
	category     {{.TEXT}} NOT NULL CHECK (length(category) BETWEEN 1 AND 255),
	scope        {{.TEXT}} NOT NULL CHECK (length(scope) BETWEEN 1 AND 64),
	value        {{.TEXT}} NOT NULL CHECK (length(value) <= 64),
	code         INTEGER NOT NULL DEFAULT 0,
	state        {{.TEXT}} NOT NULL DEFAULT 'enabled' CHECK (length(state) <= 16),
	lock_version BIGINT NOT NULL DEFAULT 1,
	created_at   BIGINT NOT NULL,
	updated_at   BIGINT NOT NULL,
	UNIQUE (category, scope, value)
);

CREATE TABLE session_cuts (
	id     {{.PK}},
	scope  {{.TEXT}} NOT NULL,
	value  {{.TEXT}} NOT NULL,
	cut_at BIGINT NOT NULL,
	UNIQUE (scope, value)
);

-- A link by which an address is put on the whitelist. Its creator is named by uid: the link is a
-- staff member's act, and ends by its time alone.
CREATE TABLE whitelinks (
	hash        {{.BYTES}} PRIMARY KEY,
	creator_uid {{.TEXT}} NOT NULL CHECK (length(creator_uid) <= 255),
	uses        INTEGER NOT NULL,
	expires_at  BIGINT NOT NULL,
	created_at  BIGINT NOT NULL
);
CREATE INDEX whitelinks_expiry ON whitelinks (expires_at);

INSERT INTO schema_versions (version, oldest) VALUES (3, 3);
