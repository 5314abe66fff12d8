package person_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/event"
	"barong/internal/person"
)

// submitter is a world with an outside provider, a user there, and that user as an actor.
func submitter(t *testing.T, cfg worldtest.Config) (*world, account.User, account.Actor) {
	t.Helper()
	cfg.Outside = true
	w := newWorld(t, cfg)
	u := w.User("a@example.com", 2)
	return w, u, account.Actor{UID: u.UID, Role: u.Role}
}

// full is a profile that is submitted at once.
func full() person.ProfileInput {
	return person.ProfileInput{
		FirstName: new("Zoë"), LastName: new("O'Hara"), Address: new("1 Main St."), Country: new("deu"), Submit: true,
	}
}

// note is the one note for the provider among the news, as the outbox hands it out.
func (w *world) note() event.Item {
	w.T.Helper()
	var notes []event.Item
	for _, e := range w.News() {
		if e.Category() == event.KYC {
			notes = append(notes, event.Item{UUID: "note1", Event: e})
		}
	}
	if len(notes) != 1 {
		w.T.Fatalf("noted %v, want one", notes)
	}
	return notes[0]
}

// profile is the only one of a user, with the value of the private label.
func (w *world) profile(uid string) (p person.Profile, label string) {
	w.T.Helper()
	all, err := w.DB.Profiles(w.T.Context(), uid)
	w.Must(err)
	if len(all) != 1 {
		w.T.Fatalf("%d profiles, want one", len(all))
	}
	l, err := w.DB.Label(w.T.Context(), uid, "profile", account.ScopePrivate)
	w.Must(err)
	return all[0], l.Value
}

func (w *world) kyc(create func(key string, a person.KYCPerson) (string, error)) (k person.KYC, log *bytes.Buffer) {
	log = new(bytes.Buffer)
	provider := signedKYC{create: func(_, key string, of any) (string, error) { return create(key, of.(person.KYCPerson)) }}
	return person.KYC{Persons: w.Persons, Provider: provider, Log: slog.New(slog.NewTextHandler(log, nil))}, log
}

func TestSubmittedProfilesAreNotedForTheProvider(t *testing.T) {
	w, u, by := submitter(t, worldtest.Config{})
	w.News()
	in := full()
	in.Submit = false
	_, err := w.Persons.CreateProfile(t.Context(), by, in)
	w.Must(err)
	for _, e := range w.News() {
		if e.Category() == event.KYC {
			t.Errorf("a draft is noted: %v", e)
		}
	}
	p, err := w.Persons.UpdateProfile(t.Context(), by, person.ProfileInput{Submit: true})
	w.Must(err)
	i := w.note()
	if id, ok := event.KYCProfile(i.Event); !ok || id != p.ID || i.UID != u.UID {
		t.Errorf("noted is profile %d of %s (%v), want %d of %s", id, i.UID, ok, p.ID, u.UID)
	}

	local := newWorld(t, worldtest.Config{})
	v := local.User("b@example.com", 2)
	_, err = local.Persons.CreateProfile(t.Context(), account.Actor{UID: v.UID, Role: v.Role}, full())
	local.Must(err)
	for _, e := range local.News() {
		if e.Category() == event.KYC {
			t.Errorf("without an outside provider there is %v", e)
		}
	}
}

// A decision of staff is theirs: the provider hears of the next profile that is submitted.
func TestReviewedProfilesAreNotNoted(t *testing.T) {
	w, u, by := submitter(t, worldtest.Config{})
	staff := w.User("staff@example.com", 2)
	w.Put(staff.UID, func(u *account.User) { u.Role = account.RoleSuperadmin })
	for _, state := range []string{person.ProfileRejected, person.ProfileVerified} {
		_, err := w.Persons.CreateProfile(t.Context(), by, full())
		w.Must(err)
		w.note()
		_, err = w.Persons.ReviewProfile(t.Context(), account.Actor{UID: staff.UID, Role: account.RoleSuperadmin}, u.UID, person.Review{State: &state})
		w.Must(err)
		for _, e := range w.News() {
			if e.Category() == event.KYC {
				t.Errorf("%s: noted %v", state, e)
			}
		}
	}
}

func TestAnApplicantVerifiesTheProfile(t *testing.T) {
	w, u, by := submitter(t, worldtest.Config{})
	in := full()
	for _, number := range []string{"4915112345678", "4915187654321"} {
		w.Must(w.DB.AddPhone(t.Context(), &person.Phone{UserUID: u.UID, Country: "DE", Number: number}))
	}
	w.Must(w.DB.ProvePhone(t.Context(), u.UID, "4915112345678", w.Now)) // the other awaits its proof
	_, err := w.Persons.CreateProfile(t.Context(), by, in)
	w.Must(err)
	i := w.note()
	asked := 0
	k, log := w.kyc(func(key string, a person.KYCPerson) (string, error) {
		asked++
		want := person.KYCPerson{FirstName: "Zoë", LastName: "O'Hara", Country: "DE", Email: u.Email, Phone: "+4915112345678"}
		if d := cmp.Diff(want, a); d != "" || key != "note1" {
			t.Errorf("key %s, the person (-want +got):\n%s", key, d)
		}
		return "applicant7", nil
	})
	w.Must(k.Send(t.Context(), i))
	p, label := w.profile(u.UID)
	if p.State != person.ProfileVerified || label != "verified" || p.ApplicantID == nil || *p.ApplicantID != "applicant7" {
		t.Errorf("the profile is %s with applicant %v, the label %s", p.State, p.ApplicantID, label)
	}
	var got []string
	for _, e := range w.News() {
		got = append(got, e.Name)
	}
	if want := []string{"model.label.updated", "model.profile.updated"}; !cmp.Equal(want, got) {
		t.Errorf("events %v, want %v", got, want)
	}
	w.Must(k.Send(t.Context(), i)) // the note comes twice
	if asked != 1 || log.Len() != 0 {
		t.Errorf("the provider was asked %d times, the log is %q; want once, nothing", asked, log)
	}
}

// An answer that is no verdict changes nothing, whatever it is, and the work is there for another try.
func TestOddAnswersChangeNothing(t *testing.T) {
	w, u, by := submitter(t, worldtest.Config{})
	_, err := w.Persons.CreateProfile(t.Context(), by, full())
	w.Must(err)
	i := w.note()
	level := w.Reload(u.UID).Level
	for name, odd := range map[string]error{"down": event.ErrUnavailable, "odd": errors.New("the answer is not understood")} {
		k, log := w.kyc(func(string, person.KYCPerson) (string, error) { return "", fmt.Errorf("create: %w", odd) })
		if err := k.Send(t.Context(), i); !errors.Is(err, odd) || errors.Is(err, event.ErrPermanent) || log.Len() != 0 {
			t.Errorf("%s: %v and the log %q, want its error for another try", name, err, log)
		}
		if p, label := w.profile(u.UID); p.State != person.ProfileSubmitted || label != "submitted" || p.ApplicantID != nil {
			t.Errorf("%s: the profile is %s, the label %s", name, p.State, label)
		}
	}
	if now := w.Reload(u.UID).Level; now != level || len(w.News()) != 0 {
		t.Errorf("level %d, want %d and no news", now, level)
	}
}

func TestARefusalRejectsTheProfile(t *testing.T) {
	down := errors.New("the database is away")
	var fail error
	w, u, by := submitter(t, worldtest.Config{Commit: func() error { return fail }})
	_, err := w.Persons.CreateProfile(t.Context(), by, full())
	w.Must(err)
	i := w.note()
	k, log := w.kyc(func(string, person.KYCPerson) (string, error) {
		return "", fmt.Errorf("create: %w", person.ErrKYCRefused)
	})
	fail = down
	if err := k.Send(t.Context(), i); !errors.Is(err, down) {
		t.Errorf("refused, and not written: %v, want another try", err)
	}
	fail = nil
	w.Must(k.Send(t.Context(), i))
	if p, label := w.profile(u.UID); p.State != person.ProfileRejected || label != "rejected" || p.ApplicantID != nil {
		t.Errorf("the profile is %s, the label %s", p.State, label)
	}
	for _, text := range []string{"Zoë", "Hara", u.Email} {
		if strings.Contains(log.String(), text) {
			t.Errorf("the log names the person: %s", log)
		}
	}
	if !strings.Contains(log.String(), "refuses a profile") {
		t.Errorf("the log is %q", log)
	}
	// The person may try again.
	_, err = w.Persons.CreateProfile(t.Context(), by, full())
	w.Must(err)
}

// Staff who decide while the provider is asked are not overruled, and nobody is made known after a
// deletion.
func TestLateApplicantsDecideNothing(t *testing.T) {
	w, u, by := submitter(t, worldtest.Config{})
	_, err := w.Persons.CreateProfile(t.Context(), by, full())
	w.Must(err)
	i := w.note()
	for _, answer := range []error{nil, person.ErrKYCRefused} {
		k, _ := w.kyc(func(string, person.KYCPerson) (string, error) {
			p, _ := w.profile(u.UID)
			p.State = person.ProfileRejected
			if answer != nil {
				p.State = person.ProfileVerified
			}
			w.Must(w.DB.PutProfile(t.Context(), &p))
			return "applicant7", answer
		})
		p, _ := w.profile(u.UID)
		p.State = person.ProfileSubmitted
		w.Must(w.DB.PutProfile(t.Context(), &p))
		w.Must(k.Send(t.Context(), i))
		want := person.ProfileRejected
		if answer != nil {
			want = person.ProfileVerified
		}
		if p, _ := w.profile(u.UID); p.State != want || p.ApplicantID != nil {
			t.Errorf("%v: the profile is %s, want %s as staff left it", answer, p.State, want)
		}
	}

	p, _ := w.profile(u.UID)
	p.State = person.ProfileSubmitted
	w.Must(w.DB.PutProfile(t.Context(), &p))
	u = w.Reload(u.UID)
	u.State = account.StateDeleted
	w.Must(w.DB.PutUser(t.Context(), &u))
	k, _ := w.kyc(func(string, person.KYCPerson) (string, error) {
		t.Error("a deleted account is made known")
		return "", nil
	})
	w.Must(k.Send(t.Context(), i))
	gone := i
	gone.UID = "ID404"
	w.Must(k.Send(t.Context(), gone))
}
