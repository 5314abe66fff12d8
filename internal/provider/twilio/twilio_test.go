package twilio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/person"
	"barong/internal/provider/twilio"
)

const (
	account, token, service = "AC0123", "t0ken-of-ours", "VA0123"
	to, code                = "+447418084106", "48151"
)

// fake is Twilio with set answers, and the last request to it.
type fake struct {
	*httptest.Server
	status int
	body   string

	path, user, password string
	form                 url.Values
	asked                int
	log                  bytes.Buffer
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{status: http.StatusCreated}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.asked++
		f.path = r.Method + " " + r.URL.String()
		f.form, _ = url.ParseQuery(string(body))
		f.user, f.password, _ = r.BasicAuth()
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(f.status)
		io.WriteString(w, f.body)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) config() twilio.Config {
	return twilio.Config{AccountSID: account, AuthToken: token, From: "+15005550006", ServiceSID: service, Address: f.URL + "/"}
}

func (f *fake) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&f.log, nil)) }

func (f *fake) sms(t testing.TB) *twilio.SMS {
	t.Helper()
	p, err := twilio.NewSMS(f.config(), nil, f.logger())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fake) verify(t testing.TB) *twilio.Verify {
	t.Helper()
	p, err := twilio.NewVerify(f.config(), nil, f.logger())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func message() person.PhoneMessage {
	return person.PhoneMessage{To: to, Channel: person.ChannelCall, Language: "ru", Code: code, Text: "Code: " + code}
}

// wasAsked fails the test unless Twilio was asked for this.
func (f *fake) wasAsked(t testing.TB, path string, form url.Values) {
	t.Helper()
	if f.path != path || f.user != account || f.password != token {
		t.Errorf("asked %s as %s", f.path, f.user)
	}
	if d := cmp.Diff(form, f.form); d != "" {
		t.Errorf("form (-want +got):\n%s", d)
	}
}

func TestAMessageIsSent(t *testing.T) {
	f := newFake(t)
	f.body = `{"sid":"SM1","status":"queued","error_code":null,"to":"` + to + `"}`
	p := f.sms(t)
	via, err := p.Send(t.Context(), message())
	if err != nil || via != person.ChannelSMS || p.MakesCodes() {
		t.Errorf("via %q, %v", via, err)
	}
	f.wasAsked(t, "POST /2010-04-01/Accounts/AC0123/Messages.json",
		url.Values{"From": {"+15005550006"}, "To": {to}, "Body": {"Code: " + code}})
	if ok, err := p.Check(t.Context(), to, code); ok || err != nil {
		t.Errorf("a code of ours was checked: %v, %v", ok, err)
	}
}

func TestAVerificationIsStartedAndChecked(t *testing.T) {
	f := newFake(t)
	f.body = `{"sid":"VE1","status":"pending","valid":false}`
	p := f.verify(t)
	m := message()
	via, err := p.Send(t.Context(), m)
	if err != nil || via != person.ChannelCall || !p.MakesCodes() {
		t.Errorf("via %q, %v", via, err)
	}
	f.wasAsked(t, "POST /v2/Services/VA0123/Verifications", url.Values{"To": {to}, "Channel": {"call"}, "Locale": {"ru"}})
	m.Language = "xx"
	if _, err = p.Send(t.Context(), m); err != nil {
		t.Error(err)
	}
	f.wasAsked(t, "POST /v2/Services/VA0123/Verifications", url.Values{"To": {to}, "Channel": {"call"}})

	for status, want := range map[string]bool{
		"approved": true, "pending": false, "canceled": false, "max_attempts_reached": false, "Approved": false, "deleted": false,
	} {
		f.status, f.body = 200, `{"sid":"VE1","status":"`+status+`","valid":true}`
		if ok, err := p.Check(t.Context(), to, code); ok != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", status, ok, err, want)
		}
		f.wasAsked(t, "POST /v2/Services/VA0123/VerificationCheck", url.Values{"To": {to}, "Code": {code}})
	}
	for name, x := range map[string]struct {
		status int
		body   string
	}{
		"lapsed, or of another": {404, `{"code":20404,"message":"not found","status":404}`},
		"tried too often":       {429, `{"code":60202,"message":"Max check attempts reached","status":429}`},
	} {
		f.status, f.body = x.status, x.body
		if ok, err := p.Check(t.Context(), to, code); ok || err != nil {
			t.Errorf("%s: %v, %v; want a wrong code", name, ok, err)
		}
	}
}

// Every answer that is none of success is one of person's refusals, and shows nothing.
func TestOddAnswers(t *testing.T) {
	for name, x := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"not reachable":             {400, `{"code":21612,"message":"m","status":400}`, person.ErrPhoneUnreachable},
		"no mobile":                 {400, `{"code":21614,"message":"m","status":400}`, person.ErrPhoneInvalid},
		"a bad text":                {400, `{"code":21618,"message":"m","status":400}`, person.ErrPhoneContent},
		"unsubscribed":              {400, `{"code":21610,"message":"m","status":400}`, person.ErrPhoneUnsubscribed},
		"a code as text":            {400, `{"code":"21610"}`, person.ErrPhoneUnsubscribed},
		"failed at once":            {201, `{"sid":"SM1","status":"failed","error_code":21610}`, person.ErrPhoneUnsubscribed},
		"failed without a code":     {201, `{"sid":"SM1","status":"failed","error_code":null}`, person.ErrPhoneProvider},
		"undelivered":               {201, `{"sid":"SM1","status":"undelivered"}`, person.ErrPhoneProvider},
		"an unknown code":           {400, `{"code":99999,"message":"hunter2","status":400}`, person.ErrPhoneProvider},
		"no code":                   {400, `{"message":"hunter2"}`, person.ErrPhoneProvider},
		"a code that is null":       {400, `{"code":null}`, person.ErrPhoneProvider},
		"a code that is a list":     {400, `{"code":[21610]}`, person.ErrPhoneProvider},
		"a code too large":          {400, `{"code":99999999999999999999}`, person.ErrPhoneProvider},
		"a wrong key":               {401, `{"code":20003,"message":"Authenticate","status":401}`, person.ErrPhoneProvider},
		"too many calls":            {429, `{"code":20429,"message":"Too Many Requests","status":429}`, person.ErrPhoneProvider},
		"too many verifications":    {429, `{"code":60203,"status":429}`, person.ErrPhoneProvider},
		"no verification":           {404, `{"status":404}`, person.ErrPhoneProvider},
		"a broken service":          {500, `{}`, person.ErrPhoneProvider},
		"a page of a proxy":         {502, `<html>hunter2</html>`, person.ErrPhoneProvider},
		"a page as success":         {200, `<html>hunter2</html>`, person.ErrPhoneProvider},
		"text for JSON":             {201, `OK`, person.ErrPhoneProvider},
		"nothing":                   {201, ``, person.ErrPhoneProvider},
		"null":                      {200, `null`, person.ErrPhoneProvider},
		"a list":                    {200, `[]`, person.ErrPhoneProvider},
		"no id":                     {201, `{"status":"queued"}`, person.ErrPhoneProvider},
		"no status":                 {201, `{"sid":"SM1"}`, person.ErrPhoneProvider},
		"a status that is a number": {200, `{"sid":"SM1","status":200}`, person.ErrPhoneProvider},
		"text after the answer":     {200, `{"sid":"VE1","status":"approved"}x`, person.ErrPhoneProvider},
		"a redirect":                {302, `{"sid":"VE1","status":"approved"}`, person.ErrPhoneProvider},
		"an endless answer":         {200, `{"sid":"` + strings.Repeat("x", 1<<17) + `"}`, person.ErrPhoneProvider},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.status, f.body = x.status, x.body
			sms, verify := f.sms(t), f.verify(t)
			_, one := sms.Send(t.Context(), message())
			_, two := verify.Send(t.Context(), message())
			ok, three := verify.Check(t.Context(), to, code)
			if ok {
				t.Error("the code is taken for right")
			}
			if strings.HasPrefix(name, "failed") || name == "undelivered" { // then it takes no code
				three = errors.Join(x.want, three)
			}
			for _, err := range []error{one, two, three} {
				if !errors.Is(err, x.want) {
					t.Errorf("got %v, want %v", err, x.want)
				}
			}
			said := fmt.Sprint(one, two, three) + f.log.String()
			for _, secret := range []string{"hunter2", to[1:], code, token, account, service} {
				if strings.Contains(said, secret) {
					t.Errorf("%q is in an error or in the log: %s", secret, said)
				}
			}
			if logged := f.log.Len() > 0; logged != errors.Is(x.want, person.ErrPhoneProvider) {
				t.Errorf("the log has %q", f.log.String())
			}
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A Twilio that does not answer is left after five seconds, one that cannot be reached at once; a
// client that leaves is no line in the log.
func TestCallsEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := twilio.Config{AccountSID: account, AuthToken: token, ServiceSID: service}
		p, err := twilio.NewVerify(c, transport(func(r *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(r.URL.String(), "https://verify.twilio.com/v2/Services/") {
				t.Errorf("asked %s", r.URL)
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = p.Send(context.Background(), message())
		if took := time.Since(begin); !errors.Is(err, person.ErrPhoneProvider) || took != 5*time.Second || log.Len() == 0 {
			t.Errorf("%v after %v, log %q", err, took, log.String())
		}
		log.Reset()
		ctx, leave := context.WithCancel(context.Background())
		leave()
		if _, err := p.Check(ctx, to, code); !errors.Is(err, person.ErrPhoneProvider) || log.Len() != 0 {
			t.Errorf("%v, log %q", err, log.String())
		}
	})
	f := newFake(t)
	p := f.sms(t)
	f.Close()
	if _, err := p.Send(t.Context(), message()); !errors.Is(err, person.ErrPhoneProvider) || strings.Contains(err.Error(), account) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	whole := twilio.Config{AccountSID: account, AuthToken: token, From: "+15005550006", ServiceSID: service}
	for name, x := range map[string]struct {
		change func(*twilio.Config)
		sms    bool // SMS needs it
		verify bool
	}{
		"whole":                          {func(*twilio.Config) {}, false, false},
		"no account":                     {func(c *twilio.Config) { c.AccountSID = "" }, true, true},
		"an account that is a path":      {func(c *twilio.Config) { c.AccountSID = "AC1/../x" }, true, true},
		"no token":                       {func(c *twilio.Config) { c.AuthToken = "" }, true, true},
		"no number":                      {func(c *twilio.Config) { c.From = "" }, true, false},
		"a number without plus":          {func(c *twilio.Config) { c.From = "15005550006" }, true, false},
		"a name":                         {func(c *twilio.Config) { c.From = "+Exchange" }, true, false},
		"no service":                     {func(c *twilio.Config) { c.ServiceSID = "" }, false, true},
		"a service that is a query":      {func(c *twilio.Config) { c.ServiceSID = "VA?x" }, false, true},
		"an address without TLS":         {func(c *twilio.Config) { c.Address = "http://api.example" }, true, true},
		"an address that has a password": {func(c *twilio.Config) { c.Address = "https://u:p@api.example" }, true, true},
	} {
		c := whole
		x.change(&c)
		if _, err := twilio.NewSMS(c, nil, log); (err != nil) != x.sms {
			t.Errorf("%s: SMS: %v", name, err)
		}
		if _, err := twilio.NewVerify(c, nil, log); (err != nil) != x.verify {
			t.Errorf("%s: Verify: %v", name, err)
		}
	}
}
