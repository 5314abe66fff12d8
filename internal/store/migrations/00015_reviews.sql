-- +goose Up
-- Who of the staff stated a profile last; NULL when its person did.
ALTER TABLE profiles ADD COLUMN author_uid {{.TEXT}} CHECK (length(author_uid) <= 255);

INSERT INTO schema_versions (version, oldest) VALUES (15, 13);
