-- +goose Up
-- What an outside provider of identity checks calls the person of a profile.
ALTER TABLE profiles ADD COLUMN applicant_id {{.TEXT}} CHECK (length(applicant_id) BETWEEN 1 AND 255);

INSERT INTO schema_versions (version, oldest) VALUES (13, 12);
