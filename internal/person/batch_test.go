package person_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/event"
	"barong/internal/person"
)

// A desk is the provider's side of a test: what it was asked for, in order, and the ids it gave.
type desk struct {
	asked []string
	keys  []string
	seen  map[string]any
	fail  func(object string) error // nil takes everything
}

func (d *desk) create(object, key string, of any) (string, error) {
	d.asked, d.keys = append(d.asked, object), append(d.keys, key)
	if d.fail != nil {
		if err := d.fail(object); err != nil {
			return "", fmt.Errorf("create %s: %w", object, err)
		}
	}
	id := fmt.Sprintf("%s%d", object, len(d.asked))
	if d.seen == nil {
		d.seen = map[string]any{}
	}
	d.seen[id] = of
	return id, nil
}

// batchWorld is an archive with an outside provider, whose user is known there as applicant1.
func batchWorld(t *testing.T, change func(*worldtest.Config)) (a *archive, d *desk, k person.KYC, log *bytes.Buffer) {
	t.Helper()
	a = newArchive(t, func(c *worldtest.Config) {
		c.Outside, c.Documents = true, func(r *person.DocumentRules) { r.NeedExpiry = false }
		if change != nil {
			change(c)
		}
	})
	a.Must(a.DB.AddProfile(t.Context(), &person.Profile{UserUID: a.u.UID, State: person.ProfileVerified, ApplicantID: new("applicant1")}))
	a.News()
	d, log = &desk{}, new(bytes.Buffer)
	return a, d, person.KYC{Persons: a.Persons, Provider: signedKYC{create: d.create}, Log: slog.New(slog.NewTextHandler(log, nil))}, log
}

// add uploads one file of a document.
func (a *archive) side(kind, batch, side string) {
	a.T.Helper()
	var category *string
	if side != "" {
		category = &side
	}
	a.Must(a.Persons.AddDocuments(a.T.Context(), a.actor(), person.DocumentInput{
		Type: kind, Number: "N-1", Identificator: batch, Category: category,
		Files: []person.Upload{upload(side+".png", picture(a.T, "png"))},
	}))
}

func (a *archive) actor() account.Actor { return account.Actor{UID: a.u.UID, Role: a.u.Role} }

func TestACompleteDocumentIsVerified(t *testing.T) {
	for kind, want := range map[string]struct {
		sides []string
		paper person.KYCPaper
		asked []string
	}{
		"Passport": {
			[]string{"selfie", "front_side"},
			person.KYCPaper{Applicant: "applicant1", Type: "PASSPORT", Number: "N-1", Front: "file1"},
			[]string{"file", "file", "document", "document", "verification"},
		},
		"Driver license": {
			[]string{"back_side", "front_side", "selfie"},
			person.KYCPaper{Applicant: "applicant1", Type: "DRIVERS_LICENSE", Number: "N-1", Front: "file1", Back: "file2"},
			[]string{"file", "file", "file", "document", "document", "verification"},
		},
		"Identity card": {
			[]string{"", "", ""}, // without categories the order counts
			person.KYCPaper{Applicant: "applicant1", Type: "GOVERNMENT_ID", Number: "N-1", Front: "file1", Back: "file2"},
			[]string{"file", "file", "file", "document", "document", "verification"},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			a, d, k, log := batchWorld(t, nil)
			for n, side := range want.sides {
				if n > 0 {
					for _, e := range a.News() {
						if e.Category() == event.KYC {
							t.Errorf("noted after %d files: %v", n, e)
						}
					}
				}
				a.side(kind, "batch1", side)
			}
			i := a.note()
			a.Must(k.Send(t.Context(), i))
			if d := cmp.Diff(want.asked, d.asked); d != "" {
				t.Errorf("asked for (-want +got):\n%s", d)
			}
			n := len(want.asked)
			if diff := cmp.Diff(want.paper, d.seen[fmt.Sprintf("document%d", n-2)]); diff != "" {
				t.Errorf("the document (-want +got):\n%s", diff)
			}
			face := person.KYCPaper{Applicant: "applicant1", Type: "SELFIE_IMAGE", Front: fmt.Sprintf("file%d", n-3)}
			if diff := cmp.Diff(face, d.seen[fmt.Sprintf("document%d", n-1)]); diff != "" {
				t.Errorf("the face (-want +got):\n%s", diff)
			}
			id := fmt.Sprintf("verification%d", n)
			if diff := cmp.Diff([]string{"applicant1", "DOCUMENT", "FACIAL"}, d.seen[id]); diff != "" {
				t.Errorf("the verification (-want +got):\n%s", diff)
			}
			v, err := a.DB.Verification(t.Context(), id)
			if err != nil || v.UserUID != a.u.UID || v.Kind != person.KYCDocument || v.ApplicantID != "applicant1" {
				t.Errorf("noted %+v (%v)", v, err)
			}
			if document, _ := a.values(a.u.UID); document != "pending" {
				t.Errorf("document is %s, want pending until the result", document)
			}
			a.Must(k.Send(t.Context(), i)) // the note comes twice
			if len(d.asked) != n || log.Len() > 0 {
				t.Errorf("asked %d times more, the log is %q", len(d.asked)-n, log)
			}
			a.Must(a.Persons.ApplyVerification(t.Context(), person.KYCResult{
				VerificationID: id, ApplicantID: "applicant1", Status: "completed", Verified: results{"document": true, "facial": true},
			}))
			if document, _ := a.values(a.u.UID); document != "verified" {
				t.Errorf("document is %s, want verified", document)
			}
		})
	}
}

// Whatever call fails, the next try goes on behind the last one that succeeded, by the same keys, and no
// level changes before the result.
func TestWorkGoesOnWhereItFailed(t *testing.T) {
	for _, odd := range []error{errors.New("half an answer"), event.ErrUnavailable} {
		a, d, k, log := batchWorld(t, nil)
		level := a.Reload(a.u.UID).Level
		a.side("Passport", "batch1", "front_side")
		a.side("Passport", "batch1", "selfie")
		i := a.note()
		failed := map[int]bool{}
		d.fail = func(string) error {
			if n := len(d.asked) - len(failed); !failed[n] {
				failed[n] = true
				return odd
			}
			return nil
		}
		tries := 0
		for tries < 20 {
			tries++
			err := k.Send(t.Context(), i)
			if err == nil {
				break
			}
			if !errors.Is(err, odd) || errors.Is(err, event.ErrPermanent) || errors.Is(err, person.ErrKYCRefused) {
				t.Fatalf("try %d: %v, want the provider's error", tries, err)
			}
		}
		// Five calls, each of which fails once.
		if want := []string{"file", "file", "file", "file", "document", "document", "document", "document", "verification", "verification"}; tries != 6 || !slices.Equal(d.asked, want) {
			t.Errorf("%d tries asked for %v", tries, d.asked)
		}
		for n := 0; n+1 < len(d.keys); n += 2 {
			if d.keys[n] != d.keys[n+1] || !strings.HasPrefix(d.keys[n], "note1/") {
				t.Errorf("call %d had key %s, its repetition %s", n, d.keys[n], d.keys[n+1])
			}
		}
		if document, _ := a.values(a.u.UID); document != "pending" || a.Reload(a.u.UID).Level != level || log.Len() > 0 {
			t.Errorf("document is %s, level %d, the log %q", document, a.Reload(a.u.UID).Level, log)
		}
	}
}

// All files of one upload prove the address, as far as the provider takes them.
func TestAddressesAreVerified(t *testing.T) {
	for files, pages := range map[int]int{1: 1, 2: 2, person.KYCPages + 1: person.KYCPages} {
		a, d, k, _ := batchWorld(t, nil)
		bills := slices.Repeat([]person.Upload{upload("bill.pdf", picture(t, "pdf"))}, files)
		a.Must(a.Persons.AddAddress(t.Context(), a.actor(),
			person.Address{Country: "deu", Address: "1 Main St.", City: "Köln", Postcode: "50667"}, bills))
		i := a.note()
		a.Must(k.Send(t.Context(), i))
		want := person.KYCHome{Applicant: "applicant1", Country: "DE", City: "Köln", PostalCode: "50667", Address: "1 Main St."}
		for n := range pages {
			want.Pages = append(want.Pages, fmt.Sprintf("file%d", n+1))
		}
		if calls := append(slices.Repeat([]string{"file"}, pages), "address", "verification"); !slices.Equal(d.asked, calls) {
			t.Errorf("%d files: asked for %v, want %v", files, d.asked, calls)
		}
		if diff := cmp.Diff(want, d.seen[fmt.Sprintf("address%d", pages+1)]); diff != "" {
			t.Errorf("%d files: the address (-want +got):\n%s", files, diff)
		}
		v, err := a.DB.Verification(t.Context(), fmt.Sprintf("verification%d", pages+2))
		if err != nil || v.Kind != person.KYCAddress {
			t.Errorf("noted %+v (%v)", v, err)
		}
		a.Must(k.Send(t.Context(), i)) // the note comes twice
		if len(d.asked) != pages+2 {
			t.Errorf("%d files: asked again for %v", files, d.asked)
		}
	}
}

// A refusal of any call, and documents of which no verification can be made, reject the label; the
// person may upload again.
func TestRefusedDocuments(t *testing.T) {
	for name, x := range map[string]struct {
		sides []string
		fail  string
		lose  bool // the files
		alone bool // the person is not known there
	}{
		"a refused file":         {sides: []string{"front_side", "selfie"}, fail: "file"},
		"a refused document":     {sides: []string{"front_side", "selfie"}, fail: "document"},
		"a refused verification": {sides: []string{"front_side", "selfie"}, fail: "verification"},
		"no face":                {sides: []string{"front_side", "back_side"}},
		"no front":               {sides: []string{"selfie", "selfie"}},
		"files that are gone":    {sides: []string{"front_side", "selfie"}, lose: true},
		"nobody":                 {sides: []string{"front_side", "selfie"}, alone: true},
	} {
		t.Run(name, func(t *testing.T) {
			down := errors.New("the database is away")
			var fail error
			a, d, k, log := batchWorld(t, func(c *worldtest.Config) { c.Commit = func() error { return fail } })
			if x.alone {
				all, err := a.DB.Profiles(t.Context(), a.u.UID)
				a.Must(err)
				all[0].ApplicantID = nil
				a.Must(a.DB.PutProfile(t.Context(), &all[0]))
			}
			for _, side := range x.sides {
				a.side("Passport", "batch1", side)
			}
			i := a.note()
			if x.lose {
				all, err := a.DB.Documents(t.Context(), a.u.UID)
				a.Must(err)
				for _, one := range all {
					a.Must(a.files.Delete(t.Context(), one.File))
				}
			}
			d.fail = func(object string) error {
				if object == x.fail {
					return person.ErrKYCRefused
				}
				return nil
			}
			if x.fail == "" || x.fail == "file" { // nothing is written before the refusal
				fail = down
				if err := k.Send(t.Context(), i); !errors.Is(err, down) {
					t.Errorf("refused, and not written: %v, want another try", err)
				}
				fail = nil
			}
			a.Must(k.Send(t.Context(), i))
			if document, _ := a.values(a.u.UID); document != "rejected" {
				t.Errorf("document is %s, want rejected", document)
			}
			if !strings.Contains(log.String(), "refuses documents") || strings.Contains(log.String(), "N-1") {
				t.Errorf("the log is %q", log)
			}
			n := len(d.asked)
			a.Must(k.Send(t.Context(), i))
			if len(d.asked) != n {
				t.Error("asked again after the refusal")
			}
			d.fail = nil
			a.News()
			a.side("Passport", "batch2", "front_side")
			a.side("Passport", "batch2", "selfie")
			if document, _ := a.values(a.u.UID); document != "pending" {
				t.Errorf("after another upload document is %s, want pending", document)
			}
			_ = a.note()
		})
	}
}

// A review that staff have ended sends nothing, nor does an account that is deleted.
func TestNothingIsSentForNothing(t *testing.T) {
	a, d, k, _ := batchWorld(t, nil)
	a.side("Passport", "batch1", "front_side")
	a.side("Passport", "batch1", "selfie")
	i := a.note()
	a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
	a.Must(k.Send(t.Context(), i))
	a.Label(a.u.UID, "document", "pending", account.ScopePrivate)
	u := a.Reload(a.u.UID)
	u.State = account.StateDeleted
	a.Must(a.DB.PutUser(t.Context(), &u))
	a.Must(k.Send(t.Context(), i))
	gone := i
	gone.UID = "ID404"
	a.Must(k.Send(t.Context(), gone))
	if len(d.asked) != 0 {
		t.Errorf("asked for %v, want nothing", d.asked)
	}
}

// A provider that names a verification which is another's already is odd: nothing is linked to it.
func TestAForeignVerificationIsNotTaken(t *testing.T) {
	a, d, k, _ := batchWorld(t, nil)
	other := a.User("other@example.com", 2)
	a.Must(a.DB.AddVerification(t.Context(), &person.Verification{
		VerificationID: "verification5", ApplicantID: "applicant1", UserUID: other.UID, Kind: person.KYCDocument,
	}))
	a.side("Passport", "batch1", "front_side")
	a.side("Passport", "batch1", "selfie")
	i := a.note()
	if err := k.Send(t.Context(), i); !errors.Is(err, account.ErrTaken) {
		t.Errorf("%v, want another try", err)
	}
	if v, err := a.DB.Verification(t.Context(), "verification5"); err != nil || v.UserUID != other.UID {
		t.Errorf("the verification is %+v (%v)", v, err)
	}
	a.Must(k.Send(t.Context(), i))
	if _, err := a.DB.Verification(t.Context(), fmt.Sprintf("verification%d", len(d.asked))); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
