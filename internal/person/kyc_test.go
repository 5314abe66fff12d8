package person_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"barong/internal/event"
	"barong/internal/person"
)

var errUnsigned = errors.New("unsigned")

// signedKYC is a provider whose signature of everything is "signed". create makes what it is asked for,
// by its name and the key of the call.
type signedKYC struct {
	fakeKYC
	create func(object, key string, of any) (string, error)
}

func (signedKYC) VerifySignature(_ []byte, signature string) error {
	if signature != "signed" {
		return errUnsigned
	}
	return nil
}

func (p signedKYC) CreateApplicant(_ context.Context, key string, a person.KYCPerson) (string, error) {
	return p.create("applicant", key, a)
}

func (p signedKYC) CreateFile(_ context.Context, key string, f person.KYCFile) (string, error) {
	content, err := io.ReadAll(f.Content)
	if err != nil || int64(len(content)) != f.Size {
		return "", fmt.Errorf("a file of %d bytes, said to have %d: %w", len(content), f.Size, err)
	}
	return p.create("file", key, f.Name+" "+f.Media+" "+string(content))
}

func (p signedKYC) CreateDocument(_ context.Context, key string, d person.KYCPaper) (string, error) {
	return p.create("document", key, d)
}

func (p signedKYC) CreateAddress(_ context.Context, key string, h person.KYCHome) (string, error) {
	return p.create("address", key, h)
}

func (p signedKYC) StartVerification(_ context.Context, key, applicant string, types []string) (string, error) {
	return p.create("verification", key, append([]string{applicant}, types...))
}

// callbacks is the KYC of a world, with its log.
func (w *world) callbacks(p fakeKYC) (k person.KYC, log *bytes.Buffer) {
	log = new(bytes.Buffer)
	return person.KYC{Persons: w.Persons, Provider: signedKYC{fakeKYC: p}, Log: slog.New(slog.NewTextHandler(log, nil))}, log
}

// unasked is a provider that nobody may ask.
func unasked(t *testing.T) fakeKYC {
	return func(id string) (person.KYCResult, error) {
		t.Errorf("the provider is asked for %q", id)
		return person.KYCResult{}, nil
	}
}

func TestASignedCallbackIsNoted(t *testing.T) {
	w, u := kycUser(t)
	k, log := w.callbacks(unasked(t))
	w.News()
	w.Must(k.Called(t.Context(), []byte("body"), "signed", "doc"))
	news := w.News()
	if len(news) != 1 || news[0].Name != event.KYCCallback || news[0].UID != u.UID {
		t.Fatalf("noted %v, want one callback about %s", news, u.UID)
	}
	if id, ok := event.KYCVerification(news[0]); !ok || id != "doc" {
		t.Errorf("noted %q (%v), want doc", id, ok)
	}
	if document, _ := w.values(u.UID); document != "pending" || log.Len() != 0 {
		t.Errorf("document is %s and the log %q; want pending and nothing", document, log)
	}
}

func TestAForgedCallbackIsRefused(t *testing.T) {
	w, _ := kycUser(t)
	k, _ := w.callbacks(unasked(t))
	w.News()
	for _, signature := range []string{"", "forged"} {
		err := k.Called(t.Context(), []byte("body"), signature, "doc")
		if !errors.Is(err, person.ErrCallback) || !errors.Is(err, errUnsigned) {
			t.Errorf("signature %q: %v, want ErrCallback and the reason", signature, err)
		}
	}
	if news := w.News(); len(news) != 0 {
		t.Errorf("noted %v, want nothing", news)
	}
}

// The provider gets its 200 and does not call again.
func TestACallbackAboutAnUnknownVerificationIsLoggedOnly(t *testing.T) {
	w, _ := kycUser(t)
	k, log := w.callbacks(unasked(t))
	w.News()
	for _, id := range []string{"other", ""} {
		log.Reset()
		if err := k.Called(t.Context(), []byte("body"), "signed", id); err != nil {
			t.Errorf("%q: %v, want nil", id, err)
		}
		if !strings.Contains(log.String(), "not asked for") {
			t.Errorf("%q: the log is %q", id, log)
		}
	}
	if news := w.News(); len(news) != 0 {
		t.Errorf("noted %v, want nothing", news)
	}
}

func TestTheOutboxLooksAtAVerification(t *testing.T) {
	w, u := kycUser(t)
	down := errors.New("down")
	var answer person.KYCResult
	var fail error
	k, log := w.callbacks(func(string) (person.KYCResult, error) { return answer, fail })
	send := func(e event.Event) error { return k.Send(t.Context(), event.Item{Event: e}) }

	if err := send(event.AccountDeleted(event.User{UID: u.UID})); !errors.Is(err, event.ErrPermanent) {
		t.Errorf("an event without a verification: %v, want ErrPermanent", err)
	}
	fail = down
	if err := send(event.KYCCalled(u.UID, "doc")); !errors.Is(err, down) || errors.Is(err, event.ErrPermanent) {
		t.Errorf("the provider is down: %v, want its error, for another try", err)
	}
	if log.Len() != 0 {
		t.Errorf("the log is %q, want nothing: the relay logs errors", log)
	}
	fail = person.ErrUnknownVerification
	if err := send(event.KYCCalled(u.UID, "doc")); err != nil || !strings.Contains(log.String(), "not one that was asked for") {
		t.Errorf("the provider knows none: %v and the log %q; want nil and a warning", err, log)
	}
	fail = nil
	for name, r := range map[string]person.KYCResult{
		"another verification": {VerificationID: "adr", ApplicantID: "app", Status: "completed", Verified: results{"address": true}},
		"another applicant":    {VerificationID: "doc", ApplicantID: "app2", Status: "completed", Verified: results{"document": true, "facial": true}},
	} {
		log.Reset()
		answer = r
		if err := send(event.KYCCalled(u.UID, "doc")); err != nil || log.Len() == 0 {
			t.Errorf("%s: %v and the log %q; want nil and a warning", name, err, log)
		}
	}
	if document, address := w.values(u.UID); document != "pending" || address != "pending" {
		t.Errorf("document %s, address %s; want both pending still", document, address)
	}
	answer = person.KYCResult{VerificationID: "doc", ApplicantID: "app", Status: "completed", Verified: results{"document": true, "facial": true}}
	w.Must(send(event.KYCCalled(u.UID, "doc")))
	if document, _ := w.values(u.UID); document != "verified" {
		t.Errorf("document is %s, want verified", document)
	}
}
