-- +goose Up
-- What the KYC provider was asked to verify, and how it ended; final_status is null until
-- then. An answer counts only for a row here, and only when it names the row's applicant.
CREATE TABLE kyc_verifications (
	id              {{.PK}},
	verification_id {{.TEXT}} NOT NULL UNIQUE CHECK (length(verification_id) BETWEEN 1 AND 255),
	applicant_id    {{.TEXT}} NOT NULL CHECK (length(applicant_id) BETWEEN 1 AND 255),
	user_uid        {{.TEXT}} NOT NULL REFERENCES users (uid) ON DELETE CASCADE,
	kind            {{.TEXT}} NOT NULL CHECK (kind IN ('document', 'address')),
	final_status    {{.TEXT}} CHECK (length(final_status) BETWEEN 1 AND 255),
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL
);
CREATE INDEX kyc_verifications_user ON kyc_verifications (user_uid, id);
