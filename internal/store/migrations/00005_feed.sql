-- +goose Up
-- One row: seq is the number of the newest commit, pruned that of the newest commit whose rows are
-- no longer kept. Each commit has a random name beside its number, since a database that goes back
-- to an earlier state gives numbers again. The names of both are kept, so that a cursor can always
-- be compared, however long nothing happens. NULL: there is no such commit yet.
CREATE TABLE feed (
	id          INTEGER PRIMARY KEY CHECK (id = 1),
	seq         BIGINT NOT NULL,
	name        {{.BYTES}},
	pruned      BIGINT NOT NULL,
	pruned_name {{.BYTES}}
);
INSERT INTO feed (id, seq, pruned) VALUES (1, 0, 0);

CREATE TABLE changes (
	seq        BIGINT NOT NULL,
	kind       {{.TEXT}} NOT NULL,
	ref        {{.TEXT}} NOT NULL,
	name       {{.BYTES}} NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (seq, kind, ref)
);

INSERT INTO schema_versions (version, oldest) VALUES (5, 5);
