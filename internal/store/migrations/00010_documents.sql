-- +goose Up
-- Files by which persons prove identities and addresses. Number, name of the file and address are
-- sealed: each for its column and the row's uuid. file is the name under which the file is kept.
CREATE TABLE documents (
	id            {{.PK}},
	uuid          {{.TEXT}} NOT NULL UNIQUE,
	user_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	file          {{.TEXT}} NOT NULL UNIQUE CHECK (length(file) <= 255),
	file_name     {{.BYTES}} NOT NULL,
	size          BIGINT NOT NULL,
	media         {{.TEXT}} NOT NULL CHECK (length(media) <= 255),
	doc_type      {{.TEXT}} NOT NULL CHECK (length(doc_type) <= 255),
	doc_number    {{.BYTES}},
	doc_expire    {{.TEXT}} CHECK (length(doc_expire) = 10),
	doc_issue     {{.TEXT}} CHECK (length(doc_issue) = 10),
	doc_category  {{.TEXT}} CHECK (length(doc_category) <= 255),
	identificator {{.TEXT}} NOT NULL CHECK (length(identificator) <= 255),
	metadata      {{.TEXT}} CHECK (length(metadata) <= 65535),
	address       {{.BYTES}},
	lapsed_at     BIGINT,
	created_at    BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL
);
CREATE INDEX documents_user ON documents (user_id, id);
-- Those whose expiry has not been looked at.
CREATE INDEX documents_expire ON documents (doc_expire, user_id) WHERE lapsed_at IS NULL AND doc_expire IS NOT NULL;

INSERT INTO schema_versions (version, oldest) VALUES (10, 9);
