package management_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/token"
)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// secondFactor is SecondFactor of a user that stays active by the labels.
func (w world) secondFactor(uid string) (code func() string) {
	w.T.Helper()
	w.addLabel(uid, "email", "verified", account.ScopePrivate)
	return w.SecondFactor(uid)
}

// signature is one of a message, of a signer.
type signature struct {
	Protected string            `json:"protected"`
	Header    map[string]string `json:"header"`
	Signature string            `json:"signature"`
}

func TestCountersign(t *testing.T) {
	w := newWorld(t)
	code := w.secondFactor("MEMBER")
	payload := encode(`{"iss":"applogic", "data":{"amount":1.10}}`) // as no encoder would write it
	theirs := signature{encode(`{"alg":"ES256"}`), map[string]string{"kid": "applogic"}, "c2lnbmF0dXJl"}
	old := signature{encode(`{"alg":"RS256"}`), map[string]string{"kid": "barong"}, "b2xk"}
	ask := m{"user_uid": "MEMBER", "otp_code": code(), "jwt": m{"payload": payload, "signatures": []any{theirs, old}, "more": true}}
	a := w.ask(t, "/otp/sign", ask)
	var got struct {
		Payload    string
		Signatures []signature
	}
	a.Into(t, &got)
	if a.Status != 201 || got.Payload != payload || len(got.Signatures) != 2 || got.Signatures[1].Header["kid"] != "barong" || got.Signatures[1].Signature == old.Signature {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	expect.Equal(t, got.Signatures[0], theirs)
	public := expect.Must(w.Keys.Public(token.UseWire, token.FormPEM))(t)
	expect.OK(t, verifyRS256(public, got.Signatures[1].Protected+"."+got.Payload, got.Signatures[1].Signature))
	w.ask(t, "/otp/sign", ask).Want(t, 422, `{"error":"This code was already used. Wait until the next time period"}`)
	deeds := w.Activities(audit.Query{TargetUID: "MEMBER"})
	if len(deeds) != 1 || deeds[0].Action != "otp sign" || deeds[0].Result != audit.Succeed {
		t.Errorf("activities %+v", deeds)
	}
}

// Signatures of services that the keychain knows must be right; those of others are not looked at.
func TestCountersignVerifiesKnownSigners(t *testing.T) {
	w := newWorld(t)
	code := w.secondFactor("MEMBER")
	var jwt struct {
		Payload    string           `json:"payload"`
		Signatures []map[string]any `json:"signatures"`
	}
	good := w.Signers().SignClaims(t, m{"iss": "applogic"}, "james", "alex")
	expect.OK(t, json.Unmarshal(good, &jwt))
	if a := w.ask(t, "/otp/sign", m{"user_uid": "MEMBER", "otp_code": code(), "jwt": jwt}); a.Status != 201 {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	jwt.Payload = encode(`{"iss":"somebody"}`)
	w.ask(t, "/otp/sign", m{"user_uid": "MEMBER", "otp_code": code(), "jwt": jwt}).Want(t, 422,
		`{"error":"JWT is invalid by the reason \"the signature of james cannot be verified\""}`)
	jwt.Signatures = append(jwt.Signatures[:0], make([]map[string]any, 17)...)
	for i := range jwt.Signatures {
		jwt.Signatures[i] = m{"header": m{"kid": "stranger"}}
	}
	w.ask(t, "/otp/sign", m{"user_uid": "MEMBER", "otp_code": code(), "jwt": jwt}).Want(t, 422,
		`{"error":"JWT is invalid by the reason \"it is no JWS in general JSON serialization of at most 16 signatures\""}`)
}

func TestCountersignRefuses(t *testing.T) {
	w := newWorld(t)
	code := w.secondFactor("MEMBER")
	good := m{"payload": encode(`{}`), "signatures": []any{}}
	for _, c := range []struct {
		params m
		status int
		want   string
	}{
		{m{}, 422, `{"error":"user_uid is missing, user_uid is empty, otp_code is missing, otp_code is empty, jwt is missing, jwt is empty"}`},
		{m{"user_uid": "MEMBER", "otp_code": "1", "jwt": "a.b.c"}, 422, `{"error":"jwt is invalid"}`},
		{m{"user_uid": "MEMBER", "otp_code": "1", "jwt": []int{1}}, 422, `{"error":"jwt is invalid"}`},
		{m{"user_uid": "MEMBER", "otp_code": "1", "jwt": m{}}, 422, `{"error":"jwt is empty"}`},
		{m{"user_uid": "NOBODY", "otp_code": "123456", "jwt": good}, 404, `{"error":"Record is not found"}`},
		{m{"user_uid": "TRADER", "otp_code": "123456", "jwt": good}, 422, `{"error":"Account has not enabled 2FA"}`},
		{m{"user_uid": "MEMBER", "otp_code": "1", "jwt": good}, 422, `{"error":"OTP code is invalid"}`},
	} {
		w.ask(t, "/otp/sign", c.params).Want(t, c.status, c.want)
	}
	deeds := w.Activities(audit.Query{TargetUID: "MEMBER"})
	if len(deeds) != 1 || deeds[0].Result != audit.Failed {
		t.Errorf("activities %+v, want that of the wrong code", deeds)
	}
	for jwt, reason := range map[string]string{
		`{"signatures":[]}`:                                                 "payload is missing",
		`{"payload":1,"signatures":[]}`:                                     "payload is missing",
		`{"payload":"e30=","signatures":[]}`:                                "payload is not base64url",
		`{"payload":"e3\n0","signatures":[]}`:                               "payload is not base64url",
		`{"payload":"` + encode(`[]`) + `","signatures":[]}`:                "payload is not a JSON object",
		`{"payload":"` + encode(`null`) + `","signatures":[]}`:              "payload is not a JSON object",
		`{"payload":"` + encode(`{"sub":"session"}`) + `","signatures":[]}`: "payload has the member sub",
		`{"payload":"` + encode(`{"s\u0075b":1}`) + `","signatures":[]}`:    "payload has the member sub",
		`{"payload":"` + encode(`{"uid":"ID1"}`) + `","signatures":[]}`:     "payload has the member uid",
		`{"payload":"` + encode(`{"event":{}}`) + `","signatures":[]}`:      "payload has the member event",
		`{"payload":"` + encode(`{"Event":{}}`) + `","signatures":[]}`:      "payload has the member event",
		`{"payload":"e30"}`:                                                 "signatures are missing",
		`{"payload":"e30","signatures":{}}`:                                 "signatures are missing",
		`{"payload":"e30","signatures":["a"]}`:                              "a signature is not an object",
	} {
		want, _ := json.Marshal(m{"error": `JWT is invalid by the reason "` + reason + `"`})
		w.ask(t, "/otp/sign", m{"user_uid": "MEMBER", "otp_code": code(), "jwt": json.RawMessage(jwt)}).Want(t, 422, string(want))
	}
	w.PutUser("MEMBER", func(u *account.User) { u.State = account.StateLocked })
	w.ask(t, "/otp/sign", m{"user_uid": "MEMBER", "otp_code": code(), "jwt": good}).Want(t, 404, `{"error":"Record is not found"}`)
}

// Codes cannot be guessed through a peer service: tries count with those of the user's own.
func TestCodesCannotBeGuessed(t *testing.T) {
	w := newWorld(t)
	code := w.secondFactor("MEMBER")
	wrong := m{"user_uid": "MEMBER", "otp_code": "000000", "jwt": m{"payload": "e30", "signatures": []any{}}}
	for range 5 {
		w.ask(t, "/otp/sign", wrong)
	}
	wrong["otp_code"] = code()
	a := w.ask(t, "/otp/sign", wrong)
	a.WantTokens(t, 429, "management.otp.too_many_requests")
}
