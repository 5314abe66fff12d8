package person_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/person"
)

// kycUser is a user of level 2 with pending document and address labels, and a verification of
// each that was asked for: "doc" and "adr" of applicant "app".
func kycUser(t *testing.T) (*world, account.User) {
	t.Helper()
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 2)
	for id, kind := range map[string]string{"doc": person.KYCDocument, "adr": person.KYCAddress} {
		w.Label(u.UID, kind, "pending", account.ScopePrivate)
		w.Must(w.DB.AddVerification(t.Context(), &person.Verification{
			VerificationID: id, ApplicantID: "app", UserUID: u.UID, Kind: kind,
		}))
	}
	return w, u
}

// values are those of the private labels document and address, "" for none.
func (w *world) values(uid string) (document, address string) {
	w.T.Helper()
	labels, err := w.DB.Labels(w.T.Context(), uid)
	w.Must(err)
	for _, l := range labels {
		switch {
		case l.Scope == account.ScopePrivate && l.Key == "document":
			document = l.Value
		case l.Scope == account.ScopePrivate && l.Key == "address":
			address = l.Value
		}
	}
	return document, address
}

type results = map[string]bool

// The verdicts of a KYC provider.
func TestVerificationDecidesItsLabel(t *testing.T) {
	for name, c := range map[string]struct {
		result            person.KYCResult
		document, address string
		level             int
	}{
		"document and face verified": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": true}},
			"verified", "pending", 3,
		},
		"the face is not": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": false}},
			"rejected", "pending", 2,
		},
		"the face is missing": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true}},
			"rejected", "pending", 2,
		},
		"the document is not": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": false, "facial": true}},
			"rejected", "pending", 2,
		},
		"the document is not named": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"facial": true, "profile": true}},
			"pending", "pending", 2,
		},
		"nothing is named": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed"},
			"pending", "pending", 2,
		},
		"still pending": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "pending", Verified: results{"document": true, "facial": true}},
			"pending", "pending", 2,
		},
		"a status in other letters": {
			person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "Completed", Verified: results{"document": true, "facial": true}},
			"pending", "pending", 2,
		},
		"an address needs no face": {
			person.KYCResult{VerificationID: "adr", ApplicantID: "app", Status: "completed", Verified: results{"address": true}},
			"pending", "verified", 2,
		},
		"an address is rejected": {
			person.KYCResult{VerificationID: "adr", ApplicantID: "app", Status: "completed", Verified: results{"address": false}},
			"pending", "rejected", 2,
		},
		"one for an address does not decide the document": {
			person.KYCResult{VerificationID: "adr", ApplicantID: "app", Status: "completed", Verified: results{"address": true, "document": true, "facial": true}},
			"pending", "verified", 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, u := kycUser(t)
			w.Must(w.Persons.ApplyVerification(t.Context(), c.result))
			document, address := w.values(u.UID)
			if level := w.Reload(u.UID).Level; document != c.document || address != c.address || level != c.level {
				t.Errorf("document %s, address %s, level %d; want %s, %s, %d", document, address, level, c.document, c.address, c.level)
			}
		})
	}
}

// Only a requested verification counts, and only for its applicant (W-I14).
func TestVerificationsOfOthersChangeNothing(t *testing.T) {
	w, u := kycUser(t)
	good := person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": true}}
	for name, change := range map[string]func(*person.KYCResult){
		"an unknown id":     func(r *person.KYCResult) { r.VerificationID = "other" },
		"no id":             func(r *person.KYCResult) { r.VerificationID = "" },
		"another applicant": func(r *person.KYCResult) { r.ApplicantID = "app2" },
		"no applicant":      func(r *person.KYCResult) { r.ApplicantID = "" },
	} {
		r := good
		change(&r)
		if err := w.Persons.ApplyVerification(t.Context(), r); !errors.Is(err, person.ErrUnknownVerification) {
			t.Errorf("%s: %v, want ErrUnknownVerification", name, err)
		}
		if document, _ := w.values(u.UID); document != "pending" {
			t.Errorf("%s: document is %s", name, document)
		}
	}
	v, err := w.DB.Verification(t.Context(), "doc")
	if err != nil || v.FinalStatus != "" {
		t.Errorf("final status %q (%v), want none", v.FinalStatus, err)
	}
}

func TestAReplayedVerificationChangesNothing(t *testing.T) {
	w, u := kycUser(t)
	r := person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": true}}
	w.News()
	w.Must(w.Persons.ApplyVerification(t.Context(), r))
	var got []string
	for _, e := range w.News() {
		got = append(got, e.Name)
	}
	want := []string{"model.label.updated", "system.document.verified", "model.user.updated"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	w.Label(u.UID, "document", "rejected", account.ScopePrivate) // staff see more
	w.News()
	for range 2 {
		w.Must(w.Persons.ApplyVerification(t.Context(), r))
		if document, _ := w.values(u.UID); document != "rejected" {
			t.Fatalf("replayed: document is %s, want it left as staff set it", document)
		}
	}
	if again := w.News(); len(again) != 0 {
		t.Errorf("replayed: told of %v, want nothing", again)
	}
	r.Verified = results{"document": false}
	w.Must(w.Persons.ApplyVerification(t.Context(), r))
	r.Verified = results{"document": true, "facial": true}
	w.Must(w.Persons.ApplyVerification(t.Context(), r))
	if document, _ := w.values(u.UID); document != "verified" || w.Reload(u.UID).Level != 3 {
		t.Errorf("the provider thought better of it: document is %s, want verified", document)
	}
}

// W-R7: a public label of the same key is the user's own affair.
func TestOnlyAPrivateLabelIsDecided(t *testing.T) {
	w, u := kycUser(t)
	w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, "document", account.ScopePrivate))
	w.Label(u.UID, "document", "mine", account.ScopePublic)
	r := person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": true}}
	w.Must(w.Persons.ApplyVerification(t.Context(), r))
	labels, err := w.DB.Labels(t.Context(), u.UID)
	w.Must(err)
	for _, l := range labels {
		if l.Key == "document" && (l.Scope != account.ScopePublic || l.Value != "mine") {
			t.Errorf("label %+v, want the public one only, untouched", l)
		}
	}
	v, err := w.DB.Verification(t.Context(), "doc")
	if err != nil || v.FinalStatus != person.KYCVerified {
		t.Errorf("final status %q (%v), want it kept for replays", v.FinalStatus, err)
	}
}

// fakeKYC is a provider of funcs.
type fakeKYC func(id string) (person.KYCResult, error)

func (f fakeKYC) Verification(_ context.Context, id string) (person.KYCResult, error) { return f(id) }

func TestCheckVerification(t *testing.T) {
	w, u := kycUser(t)
	down := errors.New("down")
	asked := 0
	var answer person.KYCResult
	var fail error
	p := fakeKYC(func(string) (person.KYCResult, error) { asked++; return answer, fail })

	if err := w.Persons.CheckVerification(t.Context(), p, "other"); !errors.Is(err, person.ErrUnknownVerification) || asked != 0 {
		t.Errorf("one that is not ours: %v after %d calls, want ErrUnknownVerification after none", err, asked)
	}
	fail = down
	if err := w.Persons.CheckVerification(t.Context(), p, "doc"); !errors.Is(err, down) || errors.Is(err, person.ErrUnknownVerification) {
		t.Errorf("the provider is down: %v, want its error", err)
	}
	fail = person.ErrUnknownVerification
	if err := w.Persons.CheckVerification(t.Context(), p, "doc"); !errors.Is(err, person.ErrUnknownVerification) {
		t.Errorf("the provider knows none: %v, want ErrUnknownVerification", err)
	}
	fail, answer = nil, person.KYCResult{VerificationID: "adr", ApplicantID: "app", Status: "completed", Verified: results{"address": true}}
	if err := w.Persons.CheckVerification(t.Context(), p, "doc"); !errors.Is(err, person.ErrUnknownVerification) {
		t.Errorf("the provider answers with another: %v, want ErrUnknownVerification", err)
	}
	if document, address := w.values(u.UID); document != "pending" || address != "pending" {
		t.Errorf("document %s, address %s; want both pending still", document, address)
	}
	answer = person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": true}}
	w.Must(w.Persons.CheckVerification(t.Context(), p, "doc"))
	if document, _ := w.values(u.UID); document != "verified" {
		t.Errorf("document is %s, want verified", document)
	}
}
