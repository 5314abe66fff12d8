package kycaid_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/person"
	"barong/internal/provider/kycaid"
)

const apiToken = "28c6f7cc0345a04eee0b535039b1c5a62547"

const id = "270128a807f3c24bfd1b8da4a4af7d2080c4"

// serve is a client of a fake service that gives set answers; asked counts its requests.
func serve(t *testing.T, status int, body string) (c *kycaid.Client, asked *int) {
	t.Helper()
	asked = new(int)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		if r.Method != http.MethodGet || r.URL.Path != "/verifications/"+id || r.URL.RawQuery != "" ||
			r.Header.Get("Authorization") != "Token "+apiToken {
			t.Errorf("asked %s %s with Authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	c, err := kycaid.New(kycaid.Config{Token: apiToken, Address: srv.URL + "/"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

func TestVerificationIsFetched(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want person.KYCResult
	}{
		"results by name": {
			`{"verification_id":"` + id + `","applicant_id":"a1","status":"completed","verified":false,"verifications":{
				"document":{"verified":true,"comment":"","decline_reasons":[]},
				"facial":{"verified":false,"comment":"blurred","decline_reasons":["FACE_NOT_MATCHED"]},
				"address":{"verified":null},"profile":{}},"applicant":{"documents":[]}}`,
			person.KYCResult{VerificationID: id, ApplicantID: "a1", Status: "completed", Verified: map[string]bool{
				"document": true, "facial": false, "address": false, "profile": false,
			}},
		},
		"none yet": {
			`{"verification_id":"` + id + `","applicant_id":"a1","status":"pending","verified":null}`,
			person.KYCResult{VerificationID: id, ApplicantID: "a1", Status: "pending", Verified: map[string]bool{}},
		},
		"none, as a list": {
			`{"verification_id":"` + id + `","applicant_id":"a1","status":"unused","verifications":[]}`,
			person.KYCResult{VerificationID: id, ApplicantID: "a1", Status: "unused", Verified: map[string]bool{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, http.StatusOK, c.body)
			got, err := client.Verification(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestVerificationErrors(t *testing.T) {
	good := `{"verification_id":"` + id + `","applicant_id":"a1","status":"completed","verifications":{"document":{"verified":true}}}`
	for name, c := range map[string]struct {
		status  int
		body    string
		unknown bool
	}{
		"no such verification":        {404, `{"error":{"type":"not-found"}}`, true},
		"a wrong token":               {401, `{}`, false},
		"a broken service":            {500, good, false},
		"a redirect":                  {302, good, false},
		"another success":             {201, good, false},
		"too many calls":              {429, good, false},
		"a page":                      {200, `<html>hunter2</html>`, false},
		"nothing":                     {200, ``, false},
		"a list":                      {200, `[]`, false},
		"an answer about another":     {200, strings.Replace(good, id, "hunter2", 1), false},
		"no id":                       {200, `{"applicant_id":"a1","status":"completed"}`, false},
		"no applicant":                {200, `{"verification_id":"` + id + `","status":"completed"}`, false},
		"no status":                   {200, `{"verification_id":"` + id + `","applicant_id":"a1"}`, false},
		"an id that is a number":      {200, `{"verification_id":1,"applicant_id":"a1","status":"completed"}`, false},
		"results that are a list":     {200, strings.Replace(good, `{"document":{"verified":true}}`, `[1]`, 1), false},
		"a verdict that is a text":    {200, strings.Replace(good, `true`, `"hunter2"`, 1), false},
		"text after the answer":       {200, good + "x", false},
		"an answer that does not end": {200, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, c.status, c.body)
			got, err := client.Verification(t.Context(), id)
			if err == nil || errors.Is(err, person.ErrUnknownVerification) != c.unknown || got.Status != "" {
				t.Errorf("got %v (%v), want an error, unknown: %v", got, err, c.unknown)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "hunter2") || strings.Contains(text, apiToken) || strings.Contains(text, id) {
				t.Errorf("the error tells too much: %s", text)
			}
		})
	}
}

// The text of a callback never becomes another path.
func TestStrangeIdsAreNotAskedFor(t *testing.T) {
	client, asked := serve(t, http.StatusOK, `{}`)
	for _, strange := range []string{"", "..", "../applicants", "a/b", "a?b", "a%2fb", "a b", "a\nb", "é", strings.Repeat("a", 65)} {
		if _, err := client.Verification(t.Context(), strange); !errors.Is(err, person.ErrUnknownVerification) {
			t.Errorf("%q: %v, want ErrUnknownVerification", strange, err)
		}
	}
	if *asked != 0 {
		t.Errorf("asked %d times, want never", *asked)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCallsEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for set, want := range map[time.Duration]time.Duration{0: 10 * time.Second, 4 * time.Second: 4 * time.Second} {
			c, err := kycaid.New(kycaid.Config{Token: apiToken, Address: "https://api.kycaid.com/", Timeout: set}, transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.String() != "https://api.kycaid.com/verifications/"+id {
					t.Errorf("asked %s", r.URL)
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			}))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = c.Verification(context.Background(), id)
			if took := time.Since(begin); err == nil || errors.Is(err, person.ErrUnknownVerification) || took != want {
				t.Errorf("timeout %v: %v after %v, want an outage after %v", set, err, took, want)
			}
		}
	})
}

// The example of KYCAID's documentation (callback integrity verification).
const (
	callback  = `{"request_id":"61a7dbcc012d9042e909cf006e7b412d6ba5","type":"VERIFICATION_STATUS_CHANGED","applicant_id":"4141cc1b18dba048470b2961cb4592f480fe","verification_id":"2cf795e713be1040e50b202164ee17bfdfbe","form_id":"58bed87600dd9944f02ba0c9cd8b32d6bd4c","verification_status":"pending"}`
	signature = "f7681b097b77928fc031d614709976796057c306cf77fdd449bb414937bd87678d908d7efaa65e9b1dd65b9eeea2121ea75bd9007f44fe8fcd7c9ac6cdeeef0e"
)

// W-I14.
func TestVerifySignature(t *testing.T) {
	client, _ := serve(t, http.StatusOK, `{}`)
	if err := client.VerifySignature([]byte(callback), signature); err != nil {
		t.Errorf("the documented example: %v", err)
	}
	other, err := kycaid.New(kycaid.Config{Token: "other", Address: "https://api.kycaid.com/"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.VerifySignature([]byte(callback), signature); !errors.Is(err, kycaid.ErrSignature) {
		t.Errorf("with another token: %v, want ErrSignature", err)
	}
	for name, c := range map[string][2]string{
		"no header":           {callback, ""},
		"not hexadecimal":     {callback, "z" + signature[1:]},
		"cut short":           {callback, signature[:126]},
		"odd":                 {callback, signature[:127]},
		"longer":              {callback, signature + "00"},
		"another digit":       {callback, "0" + signature[1:]},
		"another body":        {strings.Replace(callback, "pending", "completed", 1), signature},
		"a body with a space": {callback + " ", signature},
		"no body":             {"", signature},
	} {
		if err := client.VerifySignature([]byte(c[0]), c[1]); !errors.Is(err, kycaid.ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", name, err)
		}
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	_, err := kycaid.New(kycaid.Config{Token: " ", Address: "http://api.example", Timeout: time.Second}, nil)
	for _, want := range []string{"token is missing", "must be https", "want 3s to 10s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to mention %q", err, want)
		}
	}
	if _, err := kycaid.New(kycaid.Config{Token: "hunter2\r\nX: y", Address: "https://api.kycaid.com/"}, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a token with a line end: %v, want an error without it", err)
	}
	if _, err := kycaid.New(kycaid.Config{Token: "t", Address: "https://api.kycaid.com/", Timeout: 11 * time.Second}, nil); err == nil {
		t.Error("a timeout of 11 s is accepted")
	}
	if _, err := kycaid.New(kycaid.Config{Token: "t"}, nil); err == nil || !strings.Contains(err.Error(), "the address") {
		t.Errorf("without an address: %v, want an error that names it", err)
	}
}
