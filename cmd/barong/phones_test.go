package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"barong/internal/config"
	"barong/internal/provider/outbox"
	"barong/internal/provider/twilio"
)

// The setting chooses the provider: mock by itself in the embedded run alone.
func TestProvidersOfPhoneCodes(t *testing.T) {
	account := []string{"BARONG_TWILIO_ACCOUNT_SID=AC1", "BARONG_TWILIO_AUTH_TOKEN=t", "BARONG_TWILIO_SERVICE_SID=VA1"}
	for name, x := range map[string]struct {
		environ []string
		want    any
		warns   string
	}{
		"embedded":                  {nil, outbox.Phones{}, "verified by mock"},
		"behind a proxy":            {[]string{"BARONG_GATE=off"}, nil, ""},
		"embedded, switched off":    {[]string{"BARONG_PHONE_VERIFICATION=off"}, nil, ""},
		"behind a proxy, asked for": {[]string{"BARONG_GATE=off", "BARONG_PHONE_VERIFICATION=mock"}, outbox.Phones{}, "PHONE_VERIFICATION is mock"},
		"messages":                  {append([]string{"BARONG_PHONE_VERIFICATION=twilio_sms"}, account...), &twilio.SMS{}, ""},
		"Verify":                    {append([]string{"BARONG_PHONE_VERIFICATION=twilio_verify"}, account...), &twilio.Verify{}, ""},
	} {
		s, err := config.Load(x.environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var log strings.Builder
		p, err := phoneProvider(s, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var ok bool
		switch x.want.(type) {
		case outbox.Phones:
			_, ok = p.(outbox.Phones)
		case *twilio.SMS:
			_, ok = p.(*twilio.SMS)
		case *twilio.Verify:
			_, ok = p.(*twilio.Verify)
		default:
			ok = p == nil
		}
		if !ok {
			t.Errorf("%s: got %T, want %T", name, p, x.want)
		}
		if said := log.String() + phonesOdd(s); (said != "") != (x.warns != "") || !strings.Contains(said, x.warns) {
			t.Errorf("%s: warned %q, want %q", name, said, x.warns)
		}
	}
	s, err := config.Load(append([]string{"BARONG_PHONE_VERIFICATION=twilio_sms", "BARONG_TWILIO_URL=http://api.example"}, account...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := phoneProvider(s, slog.New(slog.DiscardHandler), nil); err == nil || !strings.Contains(err.Error(), "BARONG_TWILIO_") {
		t.Errorf("an address without TLS: %v", err)
	}
}

// phoneUser signs the first superadmin in, a person with a phone like any other.
func phoneUser(t *testing.T, environ ...string) (*process, *browser) {
	t.Helper()
	p := serving(t, t.TempDir(), environ...)
	return p, newBrowser(p).signIn(firstAdmin, p.password())
}

// The embedded run writes the code into the folder outbox and shows it at the terminal.
func TestAPhoneInTheEmbeddedRun(t *testing.T) {
	p, c := phoneUser(t)
	c.want(200, "via sms", "POST", "/api/v2/resource/phones", url.Values{"phone_number": {"+447418084106"}})
	var shown []string
	p.eventually("a code at the terminal", func() bool {
		shown = regexp.MustCompile(`sms to \+447418084106: Your verification code for Barong: ([0-9]{5}) \((.*\.sms)\)`).FindStringSubmatch(p.out.String())
		return shown != nil
	})
	file, err := os.ReadFile(filepath.Join(p.dir, shown[2]))
	if err != nil || !strings.Contains(string(file), shown[1]) || filepath.Base(filepath.Dir(shown[2])) != "outbox" {
		t.Errorf("%s: %v, %q", shown[2], err, file)
	}
	c.want(404, "resource.phone.verification_invalid", "POST", "/api/v2/resource/phones/verify",
		url.Values{"phone_number": {"+447418084106"}, "verification_code": {"x"}})
	c.want(201, `"number":"44******4106"`, "POST", "/api/v2/resource/phones/verify",
		url.Values{"phone_number": {"+447418084106"}, "verification_code": {shown[1]}})
	if !strings.Contains(p.err.String(), "verified by mock") || strings.Contains(p.err.String(), shown[1]) {
		t.Errorf("the log: %s", p.err.String())
	}
}

// With Twilio the message goes there, and a Twilio that is broken is a refusal.
func TestAPhoneByTwilio(t *testing.T) {
	body, answers := make(chan url.Values, 1), make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(text))
		body <- form
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, <-answers)
	}))
	defer srv.Close()
	_, c := phoneUser(t, "BARONG_PHONE_VERIFICATION=twilio_sms", "BARONG_TWILIO_ACCOUNT_SID=AC1", "BARONG_TWILIO_AUTH_TOKEN=t",
		"BARONG_TWILIO_PHONE_NUMBER=+15005550006", "BARONG_TWILIO_URL="+srv.URL, "BARONG_RATE_LIMITS=false")
	answers <- `{"sid":"SM1","status":"queued"}`
	c.want(200, "via sms", "POST", "/api/v2/resource/phones", url.Values{"phone_number": {"+447418084106"}, "channel": {"call"}})
	form := <-body
	if form.Get("To") != "+447418084106" || form.Get("From") != "+15005550006" {
		t.Errorf("sent %v", form)
	}
	answers <- `text`
	c.want(422, "resource.phone.twilio_unexpected", "POST", "/api/v2/resource/phones/send_code", url.Values{"phone_number": {"+447418084106"}})
	code := regexp.MustCompile(`[0-9]{5}`).FindString((<-body).Get("Body"))
	c.want(201, `"level"`, "POST", "/api/v2/resource/phones/verify",
		url.Values{"phone_number": {"+447418084106"}, "verification_code": {code}})
}
