package identity_test

import (
	"net/url"
	"testing"

	"barong/internal/apitest"
	"barong/internal/expect"
)

const kyc = "/api/v2/public/kyc"

// 200 and 422 with the number as body, not 201 (D1, W-I14).
func TestKYCCallback(t *testing.T) {
	w := newWorld(t)
	c := w.Browser().With("X-Data-Integrity", "signed")
	sent := body{"type": "VERIFICATION_COMPLETED", "verification_id": "v1", "applicant_id": "a1", "verified": true}
	c.JSON(t, "POST", kyc, sent).Want(t, 200, `200`)
	c.Form(t, "POST", kyc, url.Values{"verification_id": {"v2"}}).Want(t, 200, `200`)
	c.Send(t, "POST", kyc, "", `{"verification_id":"v3"}`).Want(t, 200, `200`)
	c.JSON(t, "POST", kyc, body{"verification_id": 4}).Want(t, 200, `200`)
	expect.Equal(t, w.kyc.noted, []string{"v1", "v2", "v3", "4"})
	c.JSON(t, "POST", kyc, body{"verification_id": body{"a": 1}}).Want(t, 200, `200`)
	c.JSON(t, "POST", kyc, body{}).Want(t, 200, `200`)
	expect.Equal(t, w.kyc.noted[4:], []string{"", ""})

	w.Browser().JSON(t, "POST", kyc, sent).Want(t, 422, `422`)
	c.With("X-Data-Integrity", "forged").JSON(t, "POST", kyc, sent).Want(t, 422, `422`)
	c.With("X-Data-Integrity", "\xff").JSON(t, "POST", kyc, sent).WantTokens(t, 422, "invalid")
	c.Send(t, "POST", kyc, "application/json", `{"verification_id":`).WantTokens(t, 400, "server.invalid_json")
	w.kyc.err = apitest.ErrOutage
	c.JSON(t, "POST", kyc, sent).WantTokens(t, 503, "server.internal_error")
	w.Identity.KYC = nil // kyc_provider local
	w.Browser().With("X-Data-Integrity", "signed").JSON(t, "POST", kyc, sent).Want(t, 422, `422`)
}

// Callbacks are limited to 60 a minute from one network (W-I14).
func TestKYCCallbacksAreLimited(t *testing.T) {
	w := newWorld(t)
	c := w.Browser().With("X-Data-Integrity", "signed")
	for range 60 {
		c.JSON(t, "POST", kyc, body{"verification_id": "v1"}).Want(t, 200, `200`)
	}
	a := c.JSON(t, "POST", kyc, body{"verification_id": "v1"})
	a.WantTokens(t, 429, "public.general.too_many_requests")
	expect.Equal(t, a.Header.Get("Retry-After"), "1")
	expect.Equal(t, len(w.kyc.noted), 60)
}
