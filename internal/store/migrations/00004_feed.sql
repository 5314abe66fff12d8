-- +goose Up
-- One row: seq is the newest change, pruned the newest whose rows are no longer kept.
CREATE TABLE feed (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	seq    BIGINT NOT NULL,
	pruned BIGINT NOT NULL
);
INSERT INTO feed (id, seq, pruned) VALUES (1, 0, 0);

CREATE TABLE changes (
	seq        BIGINT NOT NULL,
	kind       {{.TEXT}} NOT NULL,
	ref        {{.TEXT}} NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (seq, kind, ref)
);
