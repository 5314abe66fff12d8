package config

import (
	"cmp"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// checkPeople are the rules on everything that deals with people: passwords, captchas, mails and the
// services around them.
func (s Settings) checkPeople(say func(keys, format string, args ...any)) {
	if _, err := regexp.Compile(s.Account.Pattern); err != nil {
		say("password_regexp", "is no expression of RE2 (which has no look-ahead): %v", err)
	}
	if d := s.Account.Domain; d != "" {
		if _, ok := s.Site(); !ok {
			say("domain", "must be a host name, or http(s)://host[:port]; got %q", d)
		}
	}
	site, secret := s.Captcha.Keys()
	if s.Captcha.Kind != "none" {
		names := map[string][2]string{
			"recaptcha": {"recaptcha_site_key", "recaptcha_secret_key"},
			"geetest":   {"geetest_id", "geetest_key"},
			"hcaptcha":  {"hcaptcha_site_key", "hcaptcha_secret_key"},
			"turnstile": {"turnstile_site_key", "turnstile_secret_key"},
		}[s.Captcha.Kind]
		if site == "" {
			say(names[0]+" captcha", "is mandatory when BARONG_CAPTCHA is %s", s.Captcha.Kind)
		}
		if secret == "" {
			say(names[1]+" captcha", "is mandatory when BARONG_CAPTCHA is %s", s.Captcha.Kind)
		}
	}
	s.checkPasskeys(say)
	switch domain, client := s.External.Auth0Domain, s.External.Auth0ClientID; {
	case domain != "" && client == "":
		say("auth0_domain auth0_client_id", "goes with BARONG_AUTH0_CLIENT_ID: give both or neither")
	case domain == "" && client != "":
		say("auth0_client_id auth0_domain", "goes with BARONG_AUTH0_DOMAIN: give both or neither")
	}
	if s.External.KYCProvider == "kycaid" && s.External.KYCAIDToken == "" {
		say("kycaid_authorization_token kyc_provider", "is mandatory when BARONG_KYC_PROVIDER is kycaid: it also proves callbacks")
	}
	if s.Storage.Provider == "s3" {
		for _, x := range [][2]string{
			{"storage_bucket_name", s.Storage.Bucket}, {"storage_access_key", s.Storage.AccessKey.Reveal()},
			{"storage_secret_key", s.Storage.SecretKey.Reveal()},
		} {
			if x[1] == "" {
				say(x[0]+" storage_provider", "is mandatory when BARONG_STORAGE_PROVIDER is s3")
			}
		}
	} else if s.Storage.Bucket != "" {
		say("storage_bucket_name storage_provider", "names a bucket, and BARONG_STORAGE_PROVIDER is local: make it s3, or leave the bucket out")
	}
	kind := s.PhoneVerification()
	for _, x := range []struct{ key, value, of string }{
		{"twilio_account_sid", s.External.TwilioAccount, "twilio"},
		{"twilio_auth_token", s.External.TwilioToken.Reveal(), "twilio"},
		{"twilio_phone_number", s.External.TwilioNumber, "twilio_sms"},
		{"twilio_service_sid", s.External.TwilioService, "twilio_verify"},
	} {
		if strings.HasPrefix(kind, x.of) && x.value == "" {
			say(x.key+" phone_verification", "is mandatory when BARONG_PHONE_VERIFICATION is %s", kind)
		}
	}
	if t := s.External.SMSTemplate; t != "" && !strings.Contains(t, "{{code}}") {
		say("sms_content_template", "must contain {{code}}, the place of the code")
	}
	if _, err := mail.ParseAddress(s.Mail.SenderEmail); err != nil {
		say("sender_email", "must be an e-mail address; got %q", s.Mail.SenderEmail)
	}
	if s.Mail.Delivery == "folder" && !s.SQLite() {
		say("mail_delivery database_url", "folder is for SQLite: replicas would each keep their own")
	}
	if s.Mail.TokenExpire < time.Second {
		say("mail_token_expire_time", "must be at least a second")
	}
}

// PasskeySite is the domain that passkeys are for and the origins of the pages that use them; "" when
// there are none.
func (s Settings) PasskeySite() (site string, origins []string) {
	const local = "localhost"
	site, origins = s.Passkeys.Site, s.Passkeys.Origins
	if !s.EmbeddedGate() {
		return site, origins
	}
	if site = cmp.Or(site, local); site == local && len(origins) == 0 {
		scheme := "http://"
		if s.TLS.HTTPCert != "" {
			scheme = "https://"
		}
		_, port, _ := net.SplitHostPort(s.Listen.HTTP)
		origins = []string{scheme + net.JoinHostPort(local, port), scheme + local}
	}
	return site, origins
}

func (s Settings) checkPasskeys(say func(keys, format string, args ...any)) {
	site, origins := s.PasskeySite()
	switch {
	case site != "" && len(origins) == 0:
		say("webauthn_origins webauthn_rp_id", "is mandatory with BARONG_WEBAUTHN_RP_ID: passkeys are taken from the pages that it lists alone")
	case site == "" && len(origins) > 0:
		say("webauthn_rp_id webauthn_origins", "is mandatory with BARONG_WEBAUTHN_ORIGINS: the domain that passkeys are for")
	case site != "":
		for _, o := range origins {
			if !validOrigin(o) || !passkeyOrigin(o, site) {
				say("webauthn_origins webauthn_rp_id", "must be https://host[:port], the host %s or one below it; got %q", site, o)
			}
		}
	}
}

// passkeyOrigin reports whether browsers let pages of a valid origin use the passkeys of site: those
// of the domain and below it, over TLS or on this machine.
func passkeyOrigin(origin, site string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Hostname() != "localhost" && !strings.HasSuffix(u.Hostname(), ".localhost") {
		return false
	}
	return u.Hostname() == site || strings.HasSuffix(u.Hostname(), "."+site)
}

// Site is the setting domain as the address of a site, without a slash at the end; localhost
// when it is empty. ok is false when it is none.
func (s Settings) Site() (site string, ok bool) {
	d := s.Account.Domain
	if d == "" {
		return "http://localhost", true
	}
	if !strings.Contains(d, "://") {
		d = "https://" + d
	}
	u, err := url.Parse(d)
	ok = err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(u.Host, " _%")
	return strings.TrimRight(d, "/"), ok
}

// Keys are the public and the secret key of the captcha that is on; "" for none.
func (c Captcha) Keys() (site string, secret Secret) {
	switch c.Kind {
	case "recaptcha":
		return c.RecaptchaSite, c.RecaptchaSecret
	case "geetest":
		return c.GeetestID, c.GeetestKey
	case "hcaptcha":
		return c.HcaptchaSite, c.HcaptchaSecret
	case "turnstile":
		return c.TurnstileSite, c.TurnstileSecret
	}
	return "", ""
}

// On reports whether events are published.
func (e Events) On() bool { return e.URL != "" || e.Host != "" }

// MailDelivery is smtp, folder or off.
func (s Settings) MailDelivery() string {
	switch {
	case s.Mail.Delivery != "auto":
		return s.Mail.Delivery
	case s.EmbeddedGate():
		return "folder"
	}
	return "smtp"
}

// PhoneVerification is mock, twilio_sms, twilio_verify or off.
func (s Settings) PhoneVerification() string {
	switch {
	case s.External.PhoneKind != "auto":
		return s.External.PhoneKind
	case s.EmbeddedGate():
		return "mock"
	}
	return "off"
}
