-- +goose Up
-- Statements of persons about themselves. Names, birth and address are sealed: each for its column
-- and the row's uuid.
CREATE TABLE profiles (
	id         {{.PK}},
	uuid       {{.TEXT}} NOT NULL UNIQUE,
	user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	first_name {{.BYTES}},
	last_name  {{.BYTES}},
	dob        {{.BYTES}},
	address    {{.BYTES}},
	postcode   {{.TEXT}} CHECK (length(postcode) <= 255),
	city       {{.TEXT}} CHECK (length(city) <= 255),
	country    {{.TEXT}} CHECK (length(country) <= 3),
	metadata   {{.TEXT}} CHECK (length(metadata) <= 65535),
	state      {{.TEXT}} NOT NULL CHECK (length(state) <= 255),
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX profiles_user ON profiles (user_id, id);
-- A user edits or awaits the review of one at a time.
CREATE UNIQUE INDEX profiles_open ON profiles (user_id) WHERE state IN ('drafted', 'submitted');
CREATE INDEX profiles_state ON profiles (state, id);

CREATE TABLE data_storages (
	id         {{.PK}},
	user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	title      {{.TEXT}} NOT NULL CHECK (length(title) BETWEEN 1 AND 64),
	data       {{.TEXT}} NOT NULL CHECK (length(data) <= 5120),
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	UNIQUE (user_id, title)
);

INSERT INTO schema_versions (version, oldest) VALUES (8, 7);
