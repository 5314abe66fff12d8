-- +goose Up
-- Phones of users. The number is sealed, and looked up by its keyed hash. The code is the keyed hash
-- of the one that was sent last, NULL where the provider keeps it; it may be tried until
-- code_expires_at. released_at is the time at which a deleted account gave up its proof, so that
-- others may prove the number.
CREATE TABLE phones (
	id              {{.PK}},
	uuid            {{.TEXT}} NOT NULL UNIQUE,
	user_id         BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	country         {{.TEXT}} NOT NULL CHECK (length(country) = 2),
	number          {{.BYTES}} NOT NULL,
	number_index    {{.BYTES}} NOT NULL,
	index_key       {{.TEXT}} NOT NULL CHECK (length(index_key) = 16),
	code            {{.BYTES}},
	code_expires_at BIGINT,
	tries           INTEGER NOT NULL DEFAULT 0,
	validated_at    BIGINT,
	released_at     BIGINT,
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL,
	UNIQUE (user_id, number_index)
);
-- A number is proved by one account at a time.
CREATE UNIQUE INDEX phones_proved ON phones (number_index) WHERE validated_at IS NOT NULL AND released_at IS NULL;

INSERT INTO schema_versions (version, oldest) VALUES (9, 8);
