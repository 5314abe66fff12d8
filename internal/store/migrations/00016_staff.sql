-- +goose Up
-- Lists of policy rows by each filter that few rows match, and in each order that is not one of few words.
CREATE INDEX permissions_path ON permissions (path, id);
CREATE INDEX permissions_created ON permissions (created_at, id);
CREATE INDEX permissions_updated ON permissions (updated_at, id);
CREATE INDEX restrictions_value ON restrictions (value, id);
CREATE INDEX restrictions_created ON restrictions (created_at, id);
CREATE INDEX restrictions_updated ON restrictions (updated_at, id);

INSERT INTO schema_versions (version, oldest) VALUES (16, 13);
