package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"barong/internal/apikey"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/provider/amqp"
	"barong/internal/provider/kycaid"
	"barong/internal/secret"
	"barong/policy"
	"barong/policy/review"
)

// prepared holds the parts of a run that come from settings and files alone.
type prepared struct {
	settings config.Settings
	files    files
	odd      []string // warnings: the operator has hardly meant so
	people   people
	geo      *policy.Geo // nil when there is none
	tls      listenerTLS
}

// prepare reads the settings and makes everything that needs neither a store nor the network.
// `config check` is this and nothing else, and `serve` does it before it opens, makes or
// changes anything, so the two agree. The error names every problem.
func prepare(term *terminal) (prepared, error) {
	var p prepared
	problems, err := p.read(term)
	if err != nil {
		return p, err
	}
	part := func(keys string, err error) {
		if err != nil && !problems.Has(strings.Fields(keys)...) {
			problems = append(problems, config.Problem{Text: err.Error()})
		}
	}
	s := p.settings
	log := slog.New(slog.DiscardHandler)
	part("secret_key database_url", sealingKey(s))
	part("audit_spill", spillFolder(s))
	p.geo, err = openGeo(s)
	part("maxminddb_path", err)
	p.tls, err = openTLS(s, newLog(s, term))
	part("http_tls_cert http_tls_key http_tls_client_ca grpc_tls_cert grpc_tls_key grpc_tls_client_ca "+
		"forward_tls_cert forward_tls_key forward_tls_client_ca "+
		"management_tls_cert management_tls_key management_tls_client_ca", err)
	p.people, err = openPeople(s, p.files)
	part("captcha sender_email default_language domain mail_token_expire_time auth0_domain auth0_client_id", err)
	if s.MailDelivery() != "off" {
		_, err = mailSender(s, nil)
		part("smtp_host smtp_port smtp_tls smtp_ca smtp_helo sender_email domain", err)
	}
	if s.Events.On() {
		_, err = amqp.New(configured.Broker(s), nil, nil)
		part("event_api_rabbitmq_url event_api_rabbitmq_host event_api_rabbitmq_port event_api_rabbitmq_ca",
			named("BARONG_EVENT_API_RABBITMQ_URL, _HOST and those beside it", err))
	}
	if s.External.KYCProvider == "kycaid" {
		_, err = kycaid.New(configured.KYC(s), nil)
		part("kyc_provider kycaid_authorization_token kycaid_api_endpoint", named("BARONG_KYCAID_AUTHORIZATION_TOKEN, BARONG_KYCAID_API_ENDPOINT", err))
	}
	part("storage_folder", checkFolder(s))
	part("storage_provider storage_endpoint storage_bucket_name storage_prefix storage_region storage_access_key "+
		"storage_secret_key storage_timeout", checkBucket(s))
	_, err = openScanner(s)
	part("clamd_address clamd_timeout", err)
	_, err = phoneProvider(s, log, nil)
	part("phone_verification twilio_account_sid twilio_auth_token twilio_phone_number twilio_service_sid twilio_url", err)
	if len(problems) == 0 { // newAPI believes its settings
		_, err = newAPI(apiParts{
			settings: s, people: p.people, log: log, clientIP: func(*http.Request) netip.Addr { return netip.Addr{} },
		})
		part("", err)
	}
	if s.Account.Domain == "" && s.MailDelivery() == "smtp" {
		p.odd = append(p.odd, "BARONG_DOMAIN is empty: the links in mails lead to localhost")
	}
	if s.Account.Domain == "" && s.External.KYCProvider == "kycaid" {
		p.odd = append(p.odd, "BARONG_DOMAIN is empty: KYCAID is asked to call back at localhost")
	}
	p.odd = append(p.odd, oddUploads(s)...)
	p.odd = append(p.odd, oddPeers(s, p.files.peers)...)
	if text := phonesOdd(s); text != "" {
		p.odd = append(p.odd, text)
	}
	if len(problems) > 0 {
		return p, usageError{problems}
	}
	return p, nil
}

// read reads settings and files, and returns their problems for the caller to report with its
// own. An error says that the settings cannot be read.
func (p *prepared) read(term *terminal) (config.Problems, error) {
	var problems config.Problems
	s, err := config.Load(term.environ)
	if err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	checkParts(s, &problems)
	f, err := policyFiles(s)
	if err != nil {
		problems = append(problems, config.Problem{Text: err.Error()})
	} else {
		wrong, odd := reviewFiles(s, f, problems)
		problems = append(problems, wrong...)
		p.odd = odd
	}
	p.settings, p.files = s, f
	return problems, nil
}

// reviewFiles holds the policy files against each other; it leaves out problems that follow from
// wrong settings.
func reviewFiles(s config.Settings, f files, problems config.Problems) (wrong config.Problems, odd []string) {
	if problems.Has("gateway_components", "path_matching") {
		return nil, nil
	}
	bad, strange := review.Files(f.seeds, f.rules, f.abilities, configured.Policy(s, nil))
	for _, x := range bad {
		wrong = append(wrong, config.Problem{Text: ofFile(s, x)})
	}
	for _, x := range strange {
		if _, path := placeOf(s, x.File); path != "" { // nobody wrote the built-in files for these settings
			odd = append(odd, ofFile(s, x))
		}
	}
	return wrong, append(odd, unknownScopes(s, f)...)
}

// unknownScopes warns of rules for API keys that are about no scope of the rules file, unless nobody
// wrote them.
func unknownScopes(s config.Settings, f files) (odd []string) {
	shipped := config.Default().APIKey
	for _, x := range []struct {
		setting      string
		list, before []string
	}{
		{"BARONG_APIKEY_LISTED_SCOPES", s.APIKey.ListedScopes, shipped.ListedScopes},
		{"BARONG_APIKEY_SHORT_SCOPES", s.APIKey.ShortScopes, shipped.ShortScopes},
	} {
		for _, name := range x.list {
			if f.rules.Scopes[name] == nil && name != apikey.AnyScope && !slices.Equal(x.list, x.before) {
				odd = append(odd, fmt.Sprintf("%s: there is no scope %q; the rules file has %s",
					x.setting, name, strings.Join(slices.Sorted(maps.Keys(f.rules.Scopes)), ", ")))
			}
		}
	}
	return odd
}

// placeOf is the setting that names a file, and the path, "" for the built-in one.
func placeOf(s config.Settings, file string) (setting, path string) {
	switch file {
	case review.FileRules:
		return "BARONG_AUTHZ_RULES", s.Policy.AuthzRules
	case review.FileAbilities:
		return "BARONG_ABILITIES", s.Policy.Abilities
	}
	return "BARONG_SEEDS", s.Policy.Seeds
}

// ofFile is a finding after the setting and path of its file.
func ofFile(s config.Settings, x review.Finding) string {
	key, path := placeOf(s, x.File)
	if strings.Contains(x.Text, "gateway_components lacks") {
		key = "BARONG_GATEWAY_COMPONENTS, " + key
	}
	if path == "" {
		path = "the built-in " + x.File
	}
	return fmt.Sprintf("%s: %s: %s", key, path, x.Text)
}

// named puts settings before an error; nil stays nil.
func named(settings string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", settings, err)
}

// sealingKey looks at the key of the database without making one.
func sealingKey(s config.Settings) error {
	if s.Stores.SecretKey != "" || !s.SQLite() {
		return nil // checked with the settings
	}
	path := s.KeyFile()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		_, err := secret.LoadOrCreateKey(path) // it is there
		return named("sealing key", err)
	}
	return keyBelongs(s)
}

// keyBelongs is an error when there is a database whose key is missing: a new one would open
// nothing in it.
func keyBelongs(s config.Settings) error {
	if db, err := os.Stat(s.DatabasePath()); err == nil && db.Size() > 0 {
		return usageError{fmt.Errorf("%s is missing, the key of the database beside it: put it back, or give BARONG_SECRET_KEY", s.KeyFile())}
	}
	return nil
}

// spillFolder looks whether the spill file that is named has a folder to be in.
func spillFolder(s config.Settings) error {
	if s.Audit.Spill == "" {
		return nil
	}
	info, err := os.Stat(filepath.Dir(s.Audit.Spill))
	if err == nil && !info.IsDir() {
		err = errors.New("its folder is none")
	}
	return named("BARONG_AUDIT_SPILL", err)
}

// openGeo opens the GeoIP file of the settings; nil when there is none.
func openGeo(s config.Settings) (*policy.Geo, error) {
	if s.Policy.MaxMindDBPath == "" {
		return nil, nil
	}
	geo, err := policy.OpenGeo(s.Policy.MaxMindDBPath)
	if err != nil {
		return nil, usageError{fmt.Errorf("BARONG_MAXMINDDB_PATH: %w", err)}
	}
	return geo, nil
}
