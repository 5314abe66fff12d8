-- +goose Up
-- History: accounts are named by uid and nothing cascades, since a row outlives its account. ref
-- makes a replayed write idempotent; day is the UTC date, for counting.
CREATE TABLE activities (
	id         {{.PK}},
	ref        {{.TEXT}} NOT NULL UNIQUE CHECK (length(ref) BETWEEN 1 AND 255),
	actor_uid  {{.TEXT}} CHECK (length(actor_uid) <= 255),
	actor_kind {{.TEXT}} NOT NULL CHECK (length(actor_kind) <= 255),
	actor_ref  {{.TEXT}} NOT NULL CHECK (length(actor_ref) <= 255),
	target_uid {{.TEXT}} CHECK (length(target_uid) <= 255),
	category   {{.TEXT}} NOT NULL CHECK (length(category) <= 255),
	ip         {{.TEXT}} NOT NULL CHECK (length(ip) <= 255),
	ip_country {{.TEXT}} NOT NULL DEFAULT '' CHECK (length(ip_country) <= 255),
	user_agent {{.TEXT}} NOT NULL CHECK (length(user_agent) <= 255),
	topic      {{.TEXT}} NOT NULL CHECK (length(topic) <= 255),
	action     {{.TEXT}} NOT NULL CHECK (length(action) <= 255),
	result     {{.TEXT}} NOT NULL CHECK (length(result) <= 255),
	data       {{.TEXT}} CHECK (length(data) <= 65535),
	day        {{.TEXT}} NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX activities_created ON activities (created_at, id);
-- By actor with all that one's own list asks for, so that a page far from the first reads the rows that
-- it shows and no others.
CREATE INDEX activities_actor ON activities (actor_uid, created_at, id, topic, result);
CREATE INDEX activities_target ON activities (target_uid, created_at, id);
CREATE INDEX activities_category ON activities (category, created_at, id);
CREATE INDEX activities_day ON activities (topic, action, result, day, created_at);

INSERT INTO schema_versions (version, oldest) VALUES (6, 6);
