-- +goose Up
-- Each commit has a random name beside its number, since a database that goes back to an
-- earlier state gives numbers again. feed keeps those of the newest commit and of the newest
-- pruned one, so that a cursor can always be compared, however long nothing happens. NULL is
-- a commit that a version without names has written.
ALTER TABLE feed ADD COLUMN name {{.BYTES}};
ALTER TABLE feed ADD COLUMN pruned_name {{.BYTES}};
ALTER TABLE changes ADD COLUMN name {{.BYTES}};
