package main

import (
	"errors"
	"fmt"

	"barong/identity"
	"barong/internal/captcha"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/provider/auth0"
	provider "barong/internal/provider/captcha"
)

// people holds the parts by which the identity API knows people beside their accounts; parts
// that are off are nil.
type people struct {
	captcha   captcha.Gate
	geetest   captcha.Registrar
	auth0     identity.IDVerifier
	languages []string // of mails
}

// openPeople makes the parts that the settings switch on; it connects to nothing.
func openPeople(s config.Settings, f files) (people, error) {
	p := people{captcha: captcha.Gate{Protected: f.accounts.CaptchaEndpoints}}
	var errs []error
	if err := p.captcha.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("BARONG_CONFIG: %w", err))
	}
	if err := p.openCaptcha(s); err != nil {
		errs = append(errs, fmt.Errorf("BARONG_CAPTCHA: %w", err))
	}
	if s.External.Auth0Domain != "" {
		v, err := auth0.New(configured.Auth0(s), nil, nil)
		if err != nil {
			errs = append(errs, fmt.Errorf("BARONG_AUTH0_*: %w", err))
		} else {
			p.auth0 = v
		}
	}
	m, err := newMailer(s, f, nil, mailParts{}) // for its languages
	if err != nil {
		errs = append(errs, err)
	} else {
		p.languages = m.Languages()
	}
	return p, errors.Join(errs...)
}

func (p *people) openCaptcha(s config.Settings) error {
	switch s.Captcha.Kind {
	case "none":
		return nil
	case "geetest":
		g, err := provider.NewGeeTest(configured.GeeTest(s), nil)
		if err != nil {
			return err
		}
		p.captcha.Verifier, p.geetest = g, g
		return nil
	}
	v, err := provider.NewSiteVerify(configured.Captcha(s), nil)
	if err != nil {
		return err
	}
	p.captcha.Verifier = v
	return nil
}
