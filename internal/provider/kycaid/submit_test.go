package kycaid_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/event"
	"barong/internal/person"
	"barong/internal/provider/kycaid"
)

var zoe = person.KYCPerson{FirstName: "Zoë", LastName: "O'Hara", DOB: "1990-12-24", Country: "DE", Email: "zoe@example.com", Phone: "+4915112345678"}

// creating is a client of a fake service that answers each POST alike, and the last request with its
// body.
func creating(t *testing.T, status int, answer string) (c *kycaid.Client, last *http.Request, body map[string]any) {
	t.Helper()
	last, body = new(http.Request), map[string]any{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = *r
		text, _ := io.ReadAll(r.Body)
		clear(body)
		if err := json.Unmarshal(text, &body); err != nil {
			t.Errorf("sent %q: %v", text, err)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	c, err := kycaid.New(kycaid.Config{
		Token: apiToken, Address: srv.URL + "/", Form: "form1", Callback: "https://exchange.example/api/v2/barong/public/kyc",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, last, body
}

func TestApplicantsAreCreated(t *testing.T) {
	for _, status := range []int{200, 201} {
		c, last, body := creating(t, status, `{"applicant_id":"`+id+`","extra":{}}`)
		got, err := c.CreateApplicant(t.Context(), "key1", zoe)
		if err != nil || got != id {
			t.Errorf("got %q (%v), want %s", got, err, id)
		}
		if last.Method != "POST" || last.URL.Path != "/applicants" || last.URL.RawQuery != "" || last.Header.Get("Authorization") != "Token "+apiToken ||
			last.Header.Get("Idempotency-Key") != "key1" || last.Header.Get("Content-Type") != "application/json" {
			t.Errorf("asked %s %s with %v", last.Method, last.URL, last.Header)
		}
		want := map[string]any{
			"type": "PERSON", "first_name": "Zoë", "last_name": "O'Hara", "dob": "1990-12-24", "residence_country": "DE", "email": "zoe@example.com", "phone": "+4915112345678",
		}
		if d := cmp.Diff(want, body); d != "" {
			t.Errorf("sent (-want +got):\n%s", d)
		}
		if _, err := c.CreateApplicant(t.Context(), "key2", person.KYCPerson{Email: "e"}); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(map[string]any{"type": "PERSON", "email": "e"}, body); d != "" {
			t.Errorf("sent without absent texts (-want +got):\n%s", d)
		}
	}
}

// Every other object goes the same way.
func TestProofsAreCreated(t *testing.T) {
	for object, x := range map[string]struct {
		call func(c *kycaid.Client) (string, error)
		want map[string]any
	}{
		"document": {
			func(c *kycaid.Client) (string, error) {
				return c.CreateDocument(t.Context(), "key1", person.KYCPaper{
					Applicant: "a1", Type: "PASSPORT", Number: "N1", Issued: "2020-01-02", Expires: "2030-01-02", Front: "f1", Back: "f2",
				})
			},
			map[string]any{
				"applicant_id": "a1", "type": "PASSPORT", "document_number": "N1", "issue_date": "2020-01-02", "expiry_date": "2030-01-02",
				"front_side_id": "f1", "back_side_id": "f2",
			},
		},
		"address": {
			func(c *kycaid.Client) (string, error) {
				return c.CreateAddress(t.Context(), "key1", person.KYCHome{
					Applicant: "a1", Country: "DE", City: "Köln", PostalCode: "50667", Address: "1 Main St.", Pages: []string{"f1", "f2", "f3", "f4", "f5", "f6"},
				})
			},
			map[string]any{
				"applicant_id": "a1", "type": "REGISTERED", "country": "DE", "city": "Köln", "postal_code": "50667",
				"full_address": "1 Main St.", "front_side_id": "f1", "back_side_id": "f2", "other_side_1_id": "f3", "other_side_2_id": "f4",
				"other_side_3_id": "f5",
			},
		},
		"verification": {
			func(c *kycaid.Client) (string, error) {
				return c.StartVerification(t.Context(), "key1", "a1", []string{"DOCUMENT", "FACIAL"})
			},
			map[string]any{
				"applicant_id": "a1", "types": []any{"DOCUMENT", "FACIAL"}, "form_id": "form1",
				"callback_url": "https://exchange.example/api/v2/barong/public/kyc",
			},
		},
	} {
		c, last, body := creating(t, 201, `{"`+object+`_id":"`+id+`"}`)
		got, err := x.call(c)
		if err != nil || got != id || last.Header.Get("Idempotency-Key") != "key1" || last.Header.Get("Authorization") != "Token "+apiToken {
			t.Errorf("%s: %q (%v), asked with %v", object, got, err, last.Header)
		}
		if want := map[string]string{"document": "/documents", "address": "/addresses", "verification": "/verifications"}[object]; last.URL.Path != want {
			t.Errorf("%s: asked %s, want %s", object, last.URL.Path, want)
		}
		if d := cmp.Diff(x.want, body); d != "" {
			t.Errorf("%s: sent (-want +got):\n%s", object, d)
		}
	}
}

// A file goes as a form, of the length that is announced.
func TestFilesAreCreated(t *testing.T) {
	content := strings.Repeat("content ", 100_000)
	var cut atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/files" || r.Header.Get("Idempotency-Key") != "key1" || r.ContentLength <= int64(len(content)) {
			t.Errorf("asked %s %s with %d bytes and %v", r.Method, r.URL, r.ContentLength, r.Header)
		}
		f, h, err := r.FormFile("file")
		if err != nil {
			cut.Store(true)
			return
		}
		got, err := io.ReadAll(f)
		if string(got) != content || err != nil || h.Filename != "front.png" || h.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%d bytes (%v) as %q, %v", len(got), err, h.Filename, h.Header)
		}
		io.WriteString(w, `{"file_id":"`+id+`"}`)
	}))
	defer srv.Close()
	c, err := kycaid.New(kycaid.Config{Token: apiToken, Address: srv.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := person.KYCFile{Name: "front.png", Media: "image/png", Size: int64(len(content)), Content: strings.NewReader(content)}
	if got, err := c.CreateFile(t.Context(), "key1", file); err != nil || got != id || cut.Load() {
		t.Errorf("got %q (%v), want %s", got, err, id)
	}
	file.Content = strings.NewReader("less")
	if got, err := c.CreateFile(t.Context(), "key1", file); err == nil || errors.Is(err, person.ErrKYCRefused) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a file that is cut off: %q (%v), want an error for another try", got, err)
	}
}

// Each answer is an applicant, a refusal, an outage of everybody's, or worth another try by itself.
func TestAnswersToSubmissions(t *testing.T) {
	refused, away, again := person.ErrKYCRefused, event.ErrUnavailable, error(nil)
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a refusal":                   {422, `{"error":{"type":"validation","errors":[{"parameter":"dob","message":"hunter2"}]}}`, refused},
		"another form of it":          {400, `{"errors":[{"parameter":"dob"}]}`, refused},
		"a refusal by a proxy":        {400, `<html>hunter2</html>`, again},
		"a refusal without a reason":  {422, `{}`, again},
		"a reason that is a text":     {422, `{"error":"hunter2"}`, again},
		"a wrong token":               {401, `{"error":{"type":"unauthorized"}}`, away},
		"no credit":                   {402, `{}`, away},
		"no rights":                   {403, `<html>`, away},
		"too many calls":              {429, ``, away},
		"no server behind the proxy":  {502, ``, away},
		"a pause":                     {503, ``, away},
		"a server that is too slow":   {504, ``, away},
		"a fault of the service":      {500, `{"error":{}}`, again},
		"another path":                {404, `{"error":{}}`, again},
		"a conflict":                  {409, `{"error":{}}`, again},
		"a redirect":                  {302, `{"applicant_id":"` + id + `"}`, again},
		"another success":             {202, `{"applicant_id":"` + id + `"}`, again},
		"no content":                  {204, ``, again},
		"nothing":                     {201, ``, again},
		"a page":                      {200, `<html>hunter2</html>`, again},
		"no id":                       {201, `{}`, again},
		"an id that is null":          {201, `{"applicant_id":null}`, again},
		"an id that is empty":         {201, `{"applicant_id":""}`, again},
		"an id that is a number":      {201, `{"applicant_id":7}`, again},
		"an id that is a path":        {201, `{"applicant_id":"../hunter2"}`, again},
		"an id that is too long":      {201, `{"applicant_id":"` + strings.Repeat("a", 65) + `"}`, again},
		"a list":                      {201, `[]`, again},
		"text after the answer":       {201, `{"applicant_id":"` + id + `"}x`, again},
		"an answer that does not end": {201, `{"applicant_id":"` + id + `","x":"` + strings.Repeat("x", 1<<20) + `"}`, again},
	} {
		t.Run(name, func(t *testing.T) {
			client, _, _ := creating(t, c.status, c.body)
			got, err := client.CreateApplicant(t.Context(), "key", zoe)
			if err == nil || got != "" || errors.Is(err, refused) != errors.Is(c.want, refused) || errors.Is(err, away) != errors.Is(c.want, away) || errors.Is(err, event.ErrPermanent) {
				t.Errorf("got %q (%v), want no id and %v", got, err, c.want)
			}
			for _, text := range []string{"hunter2", apiToken, "Zoë", "zoe@", "4915"} {
				if strings.Contains(fmt.Sprint(err), text) {
					t.Errorf("the error says %q: %v", text, err)
				}
			}
		})
	}
}

func TestAServiceThatIsGone(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := kycaid.New(kycaid.Config{Token: apiToken, Address: gone.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateApplicant(t.Context(), "key", zoe); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("an applicant: %v, want ErrUnavailable", err)
	}
	if _, err := c.Verification(t.Context(), id); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a verification: %v, want ErrUnavailable", err)
	}
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	if c, err = kycaid.New(kycaid.Config{Token: apiToken, Address: cut.URL}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateApplicant(t.Context(), "key", zoe); err == nil || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a call that broke: %v, want another error", err)
	}
}
