-- +goose Up
-- What an outside provider of identity checks calls the person of a profile.
ALTER TABLE profiles ADD COLUMN applicant_id {{.TEXT}} CHECK (length(applicant_id) BETWEEN 1 AND 255);

-- What the provider has of a batch of a user's documents: an id for each step of the work that is done.
CREATE TABLE kyc_steps (
	id          {{.PK}},
	user_id     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	batch       {{.TEXT}} NOT NULL CHECK (length(batch) BETWEEN 1 AND 255),
	step        {{.TEXT}} NOT NULL CHECK (length(step) BETWEEN 1 AND 255),
	external_id {{.TEXT}} NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
	created_at  BIGINT NOT NULL,
	UNIQUE (user_id, batch, step)
);

INSERT INTO schema_versions (version, oldest) VALUES (13, 12);
