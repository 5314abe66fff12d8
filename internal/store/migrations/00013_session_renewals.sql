-- +goose Up
-- The session that went on under a new id when its user's generation last rose: the old id
-- may read until renewed_until, as long as the generation is renewed_generation.
ALTER TABLE users ADD COLUMN renewed_from {{.BYTES}};
ALTER TABLE users ADD COLUMN renewed_to {{.BYTES}};
ALTER TABLE users ADD COLUMN renewed_until BIGINT;
ALTER TABLE users ADD COLUMN renewed_generation BIGINT;
