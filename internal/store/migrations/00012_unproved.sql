-- +goose Up
-- unproved: somebody signed up with the address, and nobody has proved it since.
ALTER TABLE users ADD COLUMN unproved BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE users SET unproved = TRUE
WHERE state = 'pending' AND admin_state = '' AND role = 'member' AND NOT EXISTS (
	SELECT 1 FROM labels l WHERE l.user_id = users.id AND l.scope = 'private' AND l.key <> 'otp');
