package view_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/person"
	"barong/internal/view"
)

var at = time.Date(2020, 6, 1, 9, 1, 20, 987_000_000, time.FixedZone("", 2*3600))

func show(t *testing.T, v any, want string) {
	t.Helper()
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestTimes(t *testing.T) {
	show(t, view.Time(at), `"2020-06-01T07:01:20Z"`)
	show(t, view.MilliTime(at), `"2020-06-01T07:01:20.987Z"`)
}

// Nulls present, lists never null, no documents, no csrf_token (D16)
// outside of sign-in.
func TestUserWithFullInfo(t *testing.T) {
	u := account.User{
		ID: 7, UID: "ID0000000001", Email: "a@b.io", PasswordDigest: "x", Role: "member", Level: 2,
		OTP: true, State: "active", AdminState: "x", CreatedAt: at, UpdatedAt: at,
	}
	show(t, view.Masks(true).UserWithFullInfoOf(u, person.Belongings{}), `{"email":"a@b.io","uid":"ID0000000001","role":"member","level":2,`+
		`"otp":true,"state":"active","referral_uid":null,"data":null,"username":null,"labels":[],"phones":[],`+
		`"profile":null,"profiles":[],"data_storages":[],"created_at":"2020-06-01T07:01:20Z","updated_at":"2020-06-01T07:01:20Z"}`)
	description := "for staff only"
	v := view.Masks(true).UserWithFullInfoOf(u, person.Belongings{
		Labels: []account.Label{{
			Key: "email", Value: "verified", Scope: "private", Description: &description, CreatedAt: at, UpdatedAt: at,
		}},
		Storages: []person.DataStorage{{Title: "personal", Data: "{}", CreatedAt: at, UpdatedAt: at}},
		Profiles: []person.Profile{{State: "rejected", CreatedAt: at, UpdatedAt: at}, {
			FirstName: new("Ann"), LastName: new("Berezniy"), DOB: new("2007-05-12"), State: "submitted", CreatedAt: at, UpdatedAt: at,
		}},
	})
	v.CSRFToken = "c"
	const times = `"created_at":"2020-06-01T07:01:20Z","updated_at":"2020-06-01T07:01:20Z"}`
	newest := `{"first_name":"Ann","last_name":"B*******","dob":"2007-05-**","address":null,"postcode":null,"city":null,` +
		`"country":null,"state":"submitted","metadata":null,` + times
	older := `{"first_name":null,"last_name":null,"dob":null,"address":null,"postcode":null,"city":null,` +
		`"country":null,"state":"rejected","metadata":null,` + times
	show(t, v, `{"email":"a@b.io","uid":"ID0000000001","role":"member","level":2,`+
		`"otp":true,"state":"active","referral_uid":null,"data":null,"username":null,"csrf_token":"c",`+
		`"labels":[{"key":"email","value":"verified","scope":"private","created_at":"2020-06-01T07:01:20Z","updated_at":"2020-06-01T07:01:20Z"}],`+
		`"phones":[],"profile":`+newest+`,"profiles":[`+older+`,`+newest+`],`+
		`"data_storages":[{"title":"personal","data":"{}",`+times+`],`+times)
	if p := view.Masks(false).ProfileOf(person.Profile{LastName: new("Berezniy"), DOB: new("2007-05-12")}); *p.LastName != "Berezniy" || *p.DOB != "2007-05-12" {
		t.Errorf("without masks: %q, %q", *p.LastName, *p.DOB)
	}
}

// AZ-275, AZ-276: the secret is shown on creation and never again.
func TestAPIKey(t *testing.T) {
	k := apikey.Key{Kid: "k", Algorithm: "HS256", State: "active", Secret: "s", CreatedAt: at, UpdatedAt: at}
	show(t, view.APIKeyOf(k), `{"kid":"k","algorithm":"HS256","scope":[],"state":"active","ip_whitelist":[],"expires_at":null,"last_used_at":null,"last_used_ip":null,`+
		`"created_at":"2020-06-01T07:01:20Z","updated_at":"2020-06-01T07:01:20Z"}`)
	k.Scope, k.ExpiresAt = []string{"trade"}, at
	k.LastUsedAt, k.LastUsedIP = at, netip.MustParseAddr("2001:db8::1")
	k.Networks = apikey.Networks{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
	show(t, view.NewAPIKeyOf(k), `{"kid":"k","algorithm":"HS256","scope":["trade"],"state":"active",`+
		`"ip_whitelist":["192.0.2.0/24","2001:db8::1/128"],"expires_at":"2020-06-01T07:01:20Z",`+
		`"last_used_at":"2020-06-01T07:01:20Z","last_used_ip":"2001:db8::1","secret":"s",`+
		`"created_at":"2020-06-01T07:01:20Z","updated_at":"2020-06-01T07:01:20Z"}`)
}

// W-R18.
func TestMasks(t *testing.T) {
	for _, test := range []struct {
		name string
		mask func(string) string
		from string
		want string
	}{
		{"phone, country code of one digit", view.MaskPhone, "79225551234", "7******1234"},
		{"phone, country code of two", view.MaskPhone, "201112341923", "20******1923"},
		{"phone, country code of three, at most half shown (W-R18)", view.MaskPhone, "380971232322", "38******2322"},
		{"phone, short (W-R18)", view.MaskPhone, "1112222", "****222"},
		{"phone, very short (W-R18)", view.MaskPhone, "1112", "****"},
		{"phone, empty", view.MaskPhone, "", ""},
		{"document", view.MaskDocNumber, "M0993353", "M0****53"},
		{"document, long", view.MaskDocNumber, "BO231283013DSAS23", "BO*************23"},
		{"document, letters", view.MaskDocNumber, "AA1234BB", "AA****BB"},
		{"document, short (W-R18)", view.MaskDocNumber, "A1234", "***34"},
		{"document, very short (W-R18)", view.MaskDocNumber, "A123", "****"},
		{"last name", view.MaskLastName, "Berezniy", "B*******"},
		{"last name, one character", view.MaskLastName, "B", "B"},
		{"last name, empty", view.MaskLastName, "", ""},
		{"last name, not Latin", view.MaskLastName, "김철수", "김**"},
		{"date of birth", view.MaskDOB, "2007-05-12", "2007-05-**"},
		{"date of birth, not a date", view.MaskDOB, "2007", "****"},
	} {
		if got := test.mask(test.from); got != test.want {
			t.Errorf("%s: %q: got %q, want %q", test.name, test.from, got, test.want)
		}
	}
}
