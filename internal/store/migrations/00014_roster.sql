-- +goose Up
-- Lists of users by each filter and in each order. NULL is ordered as the least value on both engines.
CREATE INDEX users_username_order ON users (COALESCE(username, ''), id);
CREATE INDEX users_referral_order ON users (COALESCE(referral_id, 0), id);
CREATE INDEX users_otp ON users (otp, id);
CREATE INDEX profiles_country ON profiles (country, user_id);

-- The number of users of each kind is the sum of n: each change of it is a row, so that no writer waits
-- for another. A program now and then sums the rows up. Triggers write them, so that those of the version
-- before count, too.
CREATE TABLE user_counts (
	id    {{.PK}},
	role  {{.TEXT}} NOT NULL,
	state {{.TEXT}} NOT NULL,
	level INTEGER NOT NULL,
	n     BIGINT NOT NULL
);

{{if eq .Name "postgres" -}}
-- +goose StatementBegin
CREATE FUNCTION count_added_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO user_counts (role, state, level, n) SELECT role, state, level, count(*) FROM added GROUP BY role, state, level;
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION count_removed_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO user_counts (role, state, level, n) SELECT role, state, level, -count(*) FROM removed GROUP BY role, state, level;
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION count_changed_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO user_counts (role, state, level, n) VALUES (OLD.role, OLD.state, OLD.level, -1), (NEW.role, NEW.state, NEW.level, 1);
	RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER users_added AFTER INSERT ON users REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION count_added_users();
CREATE TRIGGER users_removed AFTER DELETE ON users REFERENCING OLD TABLE AS removed
	FOR EACH STATEMENT EXECUTE FUNCTION count_removed_users();
CREATE TRIGGER users_changed AFTER UPDATE ON users FOR EACH ROW
	WHEN (OLD.role <> NEW.role OR OLD.state <> NEW.state OR OLD.level <> NEW.level) EXECUTE FUNCTION count_changed_user();
{{- else -}}
-- +goose StatementBegin
CREATE TRIGGER users_added AFTER INSERT ON users BEGIN
	INSERT INTO user_counts (role, state, level, n) VALUES (NEW.role, NEW.state, NEW.level, 1);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_removed AFTER DELETE ON users BEGIN
	INSERT INTO user_counts (role, state, level, n) VALUES (OLD.role, OLD.state, OLD.level, -1);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_changed AFTER UPDATE ON users
WHEN OLD.role <> NEW.role OR OLD.state <> NEW.state OR OLD.level <> NEW.level BEGIN
	INSERT INTO user_counts (role, state, level, n) VALUES (OLD.role, OLD.state, OLD.level, -1), (NEW.role, NEW.state, NEW.level, 1);
END;
-- +goose StatementEnd
{{- end}}

INSERT INTO user_counts (role, state, level, n) SELECT role, state, level, count(*) FROM users GROUP BY role, state, level;

-- Notes of staff on users. They outlive their authors, who are named by uid. title and data are sealed:
-- each for its column and the row's uuid.
CREATE TABLE comments (
	id         {{.PK}},
	uuid       {{.TEXT}} NOT NULL UNIQUE,
	user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	author_uid {{.TEXT}} NOT NULL CHECK (length(author_uid) <= 255),
	title      {{.BYTES}} NOT NULL,
	data       {{.BYTES}} NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX comments_user ON comments (user_id, id);

INSERT INTO schema_versions (version, oldest) VALUES (14, 13);
