-- +goose Up
-- Changes that wait for a second member of the staff, and those that did. asker is a uid, the names of peer
-- services or a command; content is the change, seen its target as it was, preview its effect then, rules
-- the setting by which it waits. They outlive the people whom they name.
CREATE TABLE requests (
	id          {{.PK}},
	action      {{.TEXT}} NOT NULL CHECK (length(action) BETWEEN 1 AND 64),
	asker_kind  {{.TEXT}} NOT NULL CHECK (asker_kind IN ('user', 'service', 'operator')),
	asker       {{.TEXT}} NOT NULL CHECK (length(asker) BETWEEN 1 AND 255),
	asker_role  {{.TEXT}} NOT NULL CHECK (length(asker_role) <= 255),
	target_uid  {{.TEXT}} NOT NULL CHECK (length(target_uid) <= 255),
	content     {{.TEXT}} NOT NULL CHECK (length(content) <= 65535),
	seen        {{.TEXT}} NOT NULL CHECK (length(seen) <= 65535),
	preview     {{.TEXT}} NOT NULL,
	rules       {{.TEXT}} NOT NULL CHECK (length(rules) <= 1024),
	state       {{.TEXT}} NOT NULL CHECK (state IN ('open', 'confirmed', 'refused', 'lapsed')),
	reason      {{.TEXT}} NOT NULL CHECK (length(reason) <= 64),
	decider     {{.TEXT}} NOT NULL CHECK (length(decider) <= 255),
	created_at  BIGINT NOT NULL,
	expires_at  BIGINT NOT NULL,
	decided_at  BIGINT
);
CREATE INDEX requests_open ON requests (expires_at) WHERE state = 'open';
CREATE INDEX requests_asker ON requests (asker_kind, asker) WHERE state = 'open';
CREATE INDEX requests_state ON requests (state, id);

INSERT INTO schema_versions (version, oldest) VALUES (17, 13);
