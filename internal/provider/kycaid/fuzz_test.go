package kycaid

import (
	"encoding/json"
	"testing"
)

// A result counts as verified only when the answer holds a true for it.
func FuzzParseResult(f *testing.F) {
	f.Add([]byte(`{"verification_id":"v","applicant_id":"a","status":"completed","verifications":{"document":{"verified":true},"facial":{"verified":null}}}`))
	f.Add([]byte(`{"verification_id":"v","applicant_id":"a","status":"pending","verifications":[]}`))
	f.Add([]byte(`{"error":{"type":"x"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseResult(body)
		if err != nil {
			if r.Verified != nil || r.Status != "" {
				t.Errorf("an error with %+v", r)
			}
			return
		}
		if r.VerificationID == "" || r.ApplicantID == "" || r.Status == "" || r.Verified == nil {
			t.Errorf("%q gives %+v", body, r)
		}
		if !json.Valid(body) {
			t.Errorf("%q is no JSON, yet gives %+v", body, r)
		}
	})
}
