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

// An id is taken only from an object that has it, and a refusal only from one with a reason.
func FuzzParseCreated(f *testing.F) {
	f.Add([]byte(`{"applicant_id":"270128a807f3c24bfd1b8da4a4af7d2080c4"}`))
	f.Add([]byte(`{"applicant_id":"a","applicant_id":"../b"}`))
	f.Add([]byte(`{"error":{"type":"validation"}}`))
	f.Add([]byte(`{"errors":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, err := parseCreated(body, "applicant_id")
		if (err == nil) != validID(id) {
			t.Errorf("%q gives %q (%v)", body, id, err)
		}
		if (err == nil || parseRefusal(body)) && !json.Valid(body) {
			t.Errorf("%q is no JSON, yet is read", body)
		}
	})
}
