-- +goose Up
-- Bounds of a key's use: a JSON list of the networks that it may come from, [] for any; the time at
-- which it ends, NULL for never; and whether its scope restricts it. That of the keys that are there, and of those
-- that the version before makes meanwhile, was a mere word. last_used_*: the last request that it was allowed, to the
-- minute, NULL and empty for none.
ALTER TABLE apikeys ADD COLUMN ip_whitelist {{.TEXT}} NOT NULL DEFAULT '[]' CHECK (length(ip_whitelist) <= 4096);
ALTER TABLE apikeys ADD COLUMN expires_at BIGINT;
ALTER TABLE apikeys ADD COLUMN scope_enforced BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE apikeys ADD COLUMN last_used_at BIGINT;
ALTER TABLE apikeys ADD COLUMN last_used_ip {{.TEXT}} NOT NULL DEFAULT '' CHECK (length(last_used_ip) <= 255);

INSERT INTO schema_versions (version, oldest) VALUES (11, 8);
