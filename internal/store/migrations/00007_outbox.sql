-- +goose Up
-- One row for each event and destination, in the order of id; deleted once delivered. payload is
-- sealed: it holds mailed tokens and personal data. failed_at is the time at which delivery was
-- given up. The user is named by uid: a message outlives its account.
CREATE TABLE outbox (
	id          {{.PK}},
	uuid        {{.TEXT}} NOT NULL UNIQUE,
	destination {{.TEXT}} NOT NULL CHECK (length(destination) BETWEEN 1 AND 255),
	name        {{.TEXT}} NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
	user_uid    {{.TEXT}} NOT NULL CHECK (length(user_uid) BETWEEN 1 AND 255),
	payload     {{.BYTES}} NOT NULL,
	attempts    INTEGER NOT NULL DEFAULT 0,
	next_at     BIGINT NOT NULL,
	failed_at   BIGINT,
	reason      {{.TEXT}} CHECK (length(reason) <= 255),
	created_at  BIGINT NOT NULL
);
CREATE INDEX outbox_waiting ON outbox (destination, id) WHERE failed_at IS NULL;
CREATE INDEX outbox_waiting_user ON outbox (destination, user_uid, id) WHERE failed_at IS NULL;
CREATE INDEX outbox_parked ON outbox (failed_at) WHERE failed_at IS NOT NULL;

-- Work that one process at a time does; unused where there is one.
CREATE TABLE leases (
	name       {{.TEXT}} PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
	holder     {{.TEXT}} NOT NULL CHECK (length(holder) BETWEEN 1 AND 255),
	expires_at BIGINT NOT NULL
);

INSERT INTO schema_versions (version, oldest) VALUES (7, 7);
