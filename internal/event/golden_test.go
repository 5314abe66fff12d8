package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the payloads in testdata")

func userOf(n int) User {
	return User{
		UID: "ID1A2B3C4D5E", Username: new("alice"), Email: "alice@example.com", Role: "member",
		Level: n, OTP: true, State: "active", ReferralUID: new("IDAAAAAAAAAA"),
		CreatedAt: Time(time.Date(2019, 1, 28, 9, 35, 29, 999_999_999, time.FixedZone("", 3600))),
		UpdatedAt: Time(time.Date(2020, 2, 29, 23, 59, 59+n, 0, time.UTC)),
	}
}

// bare is a user whose optional fields are absent.
func bare(n int) User {
	u := userOf(n)
	u.Username, u.ReferralUID = nil, nil
	return u
}

// Other systems parse the payloads: a changed byte here is a changed wire (AZ-382, AZ-385 to
// AZ-388 and the table of system events).
func TestGolden(t *testing.T) {
	label := Label{ID: 7, Key: "document", Value: "verified", Description: new("by hand"), User: bare(1)}
	pending := label
	pending.Value, pending.Description = "pending", nil
	changed := userOf(3)
	changed.Username, changed.State, changed.OTP = new("bob"), "banned", false
	reviewed := func(value string) Event {
		l := label
		l.Value = value
		e, ok := DocumentReviewed(l)
		if !ok {
			t.Errorf("%s: no event", value)
		}
		return e
	}
	known := Notice{User: bare(0), Domain: "example.com", Language: "de"}
	unknown := Notice{User: bare(0), Domain: "example.com"}
	profile := Profile{
		User: bare(2), FirstName: new("Alice"), LastName: new("O'Hara"), DOB: new("1990-12-24"), Country: new("GB"),
		Metadata: new(`{"a":1}`), CreatedAt: Time(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)), UpdatedAt: Time(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)),
	}
	moved := profile
	moved.City, moved.UpdatedAt = new("Bath"), Time(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))
	for name, e := range map[string]Event{
		"profile_created": ProfileCreated(profile),
		"profile_updated": ProfileUpdated(moved, profile),
		"data_storage_created": DataStorageCreated(DataStorage{
			User: bare(2), Title: "personal", Data: `{"a":1}`, CreatedAt: profile.CreatedAt, UpdatedAt: profile.UpdatedAt,
		}),
		"document_created": DocumentCreated(Document{
			User: bare(2), Upload: "ID1A2B3C4D5E/0f8fad5b-d9cb-469f-a165-70867728950e/0123456789abcdef", Type: "Passport",
			Expires: new("2031-08-07"), CreatedAt: profile.CreatedAt, UpdatedAt: profile.UpdatedAt,
		}),
		"user_created":                        UserCreated(userOf(1)),
		"user_created_absent_fields":          UserCreated(bare(1)), // AZ-386
		"user_updated":                        UserUpdated(changed, userOf(1)),
		"user_updated_was_absent":             UserUpdated(userOf(1), bare(0)), // AZ-387
		"user_updated_is_absent":              UserUpdated(bare(1), userOf(1)),
		"user_updated_nothing_published":      UserUpdated(userOf(1), userOf(1)), // AZ-387: {}
		"label_created":                       LabelCreated(label),
		"label_created_absent_fields":         LabelCreated(pending),
		"label_updated":                       LabelUpdated(label, pending),
		"document_verified":                   reviewed("verified"),
		"document_rejected":                   reviewed("rejected"),
		"session_create":                      SessionCreated(bare(1), "192.0.2.1", "curl/8"),
		"session_new_device":                  DeviceAdded(bare(1), "192.0.2.1", "curl/8", "DE", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)),
		"user_email_confirmation_token":       ConfirmationToken(known, "a.b.c"),
		"user_email_confirmation_no_language": ConfirmationToken(unknown, "a.b.c"), // AZ-390
		"user_email_confirmed":                EmailConfirmed(unknown),
		"user_password_reset_token":           ResetToken(unknown, "a.b.c"),
		"user_password_reset":                 PasswordReset(unknown),
		"user_password_change":                PasswordChanged(unknown),
		"user_recovery_code_used":             RecoveryCodeUsed(bare(1), 9, "192.0.2.1", "curl/8", "DE", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)),
		"request_lapsed": RequestChanged(Request{
			ID: 7, Action: "staff_role", AskerKind: "user", Asker: "ID1A2B3C4D5E", TargetUID: "ID2", State: "lapsed", Reason: "time", Decider: "ID3",
			CreatedAt: Time(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)), ExpiresAt: Time(time.Date(2026, 1, 3, 3, 4, 5, 6, time.UTC)),
		}),
		"user_passkey_added":   PasskeyAdded(bare(1), "192.0.2.1", "curl/8", "DE", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)),
		"user_account_deleted": AccountDeleted(bare(1)),
	} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(Keys(e.Category()), e.Key()) {
				t.Errorf("%s is not among the events that we say we emit", e.Name)
			}
			if e.UID != "ID1A2B3C4D5E" {
				t.Errorf("it is about %q", e.UID)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, e.Object(), "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%swant\n%s", got.Bytes(), want)
			}
		})
	}
}

func TestOnlyReviewedDocumentsAreAnnounced(t *testing.T) {
	for _, l := range []Label{{Key: "document", Value: "pending"}, {Key: "phone", Value: "verified"}, {}} {
		if e, ok := DocumentReviewed(l); ok || e.Name != "" {
			t.Errorf("label %s=%s: got %v", l.Key, l.Value, e)
		}
	}
}

// AZ-371.
func TestNameIsSplitAtItsFirstDot(t *testing.T) {
	e := Event{Name: "system.user.password.reset.token"}
	if e.Category() != "system" || e.Key() != "user.password.reset.token" {
		t.Errorf("got category %q and key %q", e.Category(), e.Key())
	}
}
