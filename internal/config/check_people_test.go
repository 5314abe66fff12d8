package config

import (
	"slices"
	"strings"
	"testing"
)

func TestSettingsAboutPeopleAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"a bucket, and files in a folder":     {[]string{"BARONG_STORAGE_BUCKET_NAME=abc"}, "BARONG_STORAGE_BUCKET_NAME: "},
		"a look-ahead":                        {[]string{"BARONG_PASSWORD_REGEXP=(?=a)"}, "BARONG_PASSWORD_REGEXP: "},
		"a domain with a query":               {[]string{"BARONG_DOMAIN=https://a.example/?x=1"}, "BARONG_DOMAIN: "},
		"a domain with a password":            {[]string{"BARONG_DOMAIN=https://u:p@a.example"}, "BARONG_DOMAIN: "},
		"reCAPTCHA without a secret":          {[]string{"BARONG_CAPTCHA=recaptcha", "BARONG_RECAPTCHA_SITE_KEY=s"}, "BARONG_RECAPTCHA_SECRET_KEY: "},
		"Turnstile without a site key":        {[]string{"BARONG_CAPTCHA=turnstile", "BARONG_TURNSTILE_SECRET_KEY=s"}, "BARONG_TURNSTILE_SITE_KEY: "},
		"half of Auth0":                       {[]string{"BARONG_AUTH0_DOMAIN=a.example"}, "BARONG_AUTH0_DOMAIN: "},
		"KYCAID without what proves its word": {[]string{"BARONG_KYC_PROVIDER=kycaid"}, "BARONG_KYCAID_AUTHORIZATION_TOKEN: "},
		"a sender that is no address":         {[]string{"BARONG_SENDER_EMAIL=nobody"}, "BARONG_SENDER_EMAIL: "},
		"a folder of mails for replicas": {[]string{"BARONG_MAIL_DELIVERY=folder", "BARONG_DATABASE_URL=postgres://h/d",
			"BARONG_SECRET_KEY=eA=="}, "BARONG_MAIL_DELIVERY: "},
		"passkeys of no page":                {[]string{"BARONG_GATE=off", "BARONG_WEBAUTHN_RP_ID=a.example"}, "BARONG_WEBAUTHN_ORIGINS: "},
		"passkeys for no domain":             {[]string{"BARONG_GATE=off", "BARONG_WEBAUTHN_ORIGINS=https://a.example"}, "BARONG_WEBAUTHN_RP_ID: "},
		"a domain with a scheme":             {[]string{"BARONG_WEBAUTHN_RP_ID=https://a.example"}, "BARONG_WEBAUTHN_RP_ID"},
		"a page of another domain":           {[]string{"BARONG_WEBAUTHN_RP_ID=a.example", "BARONG_WEBAUTHN_ORIGINS=https://b.example"}, "BARONG_WEBAUTHN_ORIGINS: "},
		"a page of a domain that ends alike": {[]string{"BARONG_WEBAUTHN_RP_ID=a.example", "BARONG_WEBAUTHN_ORIGINS=https://ba.example"}, "BARONG_WEBAUTHN_ORIGINS: "},
		"a page without TLS":                 {[]string{"BARONG_WEBAUTHN_RP_ID=a.example", "BARONG_WEBAUTHN_ORIGINS=http://a.example"}, "BARONG_WEBAUTHN_ORIGINS: "},
		"a page with a path":                 {[]string{"BARONG_WEBAUTHN_RP_ID=a.example", "BARONG_WEBAUTHN_ORIGINS=https://a.example/x"}, "BARONG_WEBAUTHN_ORIGINS: "},
		"links that never work":              {[]string{"BARONG_MAIL_TOKEN_EXPIRE_TIME=0"}, "BARONG_MAIL_TOKEN_EXPIRE_TIME: "},
	} {
		_, err := Load(tt.environ)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, tt.want)
		}
	}
}

func TestPasskeySite(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		site    string
		origins []string
	}{
		"embedded": {nil, "localhost", []string{"http://localhost:8001", "http://localhost"}},
		"embedded, another port": {
			[]string{"BARONG_HTTP_ADDR=[::1]:9", "BARONG_WEBAUTHN_RP_ID=localhost"}, "localhost",
			[]string{"http://localhost:9", "http://localhost"}},
		"embedded, a page of its own": {
			[]string{"BARONG_WEBAUTHN_ORIGINS=http://localhost:3000"}, "localhost", []string{"http://localhost:3000"}},
		"behind a proxy, off": {[]string{"BARONG_GATE=off"}, "", nil},
		"behind a proxy": {
			[]string{"BARONG_GATE=off", "BARONG_WEBAUTHN_RP_ID=a.example", "BARONG_WEBAUTHN_ORIGINS=https://a.example,https://x.a.example:8443"},
			"a.example", []string{"https://a.example", "https://x.a.example:8443"}},
	} {
		s, err := Load(tt.environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if site, origins := s.PasskeySite(); site != tt.site || !slices.Equal(origins, tt.origins) {
			t.Errorf("%s: got %q, %q; want %q, %q", name, site, origins, tt.site, tt.origins)
		}
	}
}

func TestStaffRequires2FA(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		want    bool
	}{
		"embedded":                     {nil, false},
		"embedded, asked for":          {[]string{"BARONG_STAFF_REQUIRES_2FA=true"}, true},
		"behind a proxy":               {[]string{"BARONG_GATE=off"}, true},
		"beyond loopback":              {[]string{"BARONG_HTTP_ADDR=0.0.0.0:8001"}, true},
		"behind a proxy, switched off": {[]string{"BARONG_GATE=off", "BARONG_STAFF_REQUIRES_2FA=false"}, false},
	} {
		s, err := Load(tt.environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := s.StaffRequires2FA(); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestSite(t *testing.T) {
	for domain, want := range map[string]string{
		"":                       "http://localhost",
		"exchange.example":       "https://exchange.example",
		"http://localhost:3000/": "http://localhost:3000",
		"https://a.example/app":  "https://a.example/app",
	} {
		s := Default()
		s.Account.Domain = domain
		if got, ok := s.Site(); got != want || !ok {
			t.Errorf("%q: got %q, %v, want %q", domain, got, ok, want)
		}
	}
}

func TestMailDelivery(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"embedded":                    {nil, "folder"},
		"embedded, said otherwise":    {[]string{"BARONG_MAIL_DELIVERY=smtp"}, "smtp"},
		"behind a proxy":              {[]string{"BARONG_GATE=off"}, "smtp"},
		"left to others":              {[]string{"BARONG_MAIL_DELIVERY=off"}, "off"},
		"behind a proxy, in a folder": {[]string{"BARONG_GATE=off", "BARONG_MAIL_DELIVERY=folder"}, "folder"},
	} {
		s, err := Load(tt.environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := s.MailDelivery(); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
