package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/directory"
	"barong/internal/exchange"
	"barong/internal/factor"
	"barong/internal/notify"
	"barong/internal/provider/amqp"
	"barong/internal/provider/clamd"
	"barong/internal/provider/kycaid"
	"barong/internal/provider/s3"
	"barong/internal/provider/smtp"
	"barong/internal/provider/twilio"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store/redis"
	"barong/internal/token"
)

// unsettled are the fields of configurations that no setting fills, each with its reason. A field that
// is neither filled nor here was forgotten by package configured.
var unsettled = map[string]string{
	"authz.Config.StaffRoles":          "of the file of abilities, beside the built-in ranks",
	"authz.GRPCConfig.Grace":           "an internal bound",
	"authz.GRPCConfig.Workers":         "an internal bound",
	"authz.GRPCConfig.Options":         "the credentials of the listener",
	"audit.Config.Batch":               "an internal bound",
	"session.Config.FlushEvery":        "an internal bound",
	"session.Config.Shared":            "the clock of the database",
	"factor.Config.Code":               "a limit of docs/limits.md",
	"factor.Config.QR":                 "a limit of docs/limits.md",
	"person.Config.Phones":             "limits of docs/limits.md",
	"apikey.Config.MaxKeys":            "an internal bound",
	"signin.Config.Limits":             "limits of docs/limits.md",
	"redis.Config.Batch":               "an internal bound",
	"redis.Config.Pipelines":           "an internal bound",
	"redis.Config.Failures":            "an internal bound",
	"redis.Config.Pause":               "an internal bound",
	"redis.Config.Observe":             "for benchmarks",
	"redis.Config.Now":                 "the clock of the database",
	"redis.Config.Log":                 "the log of the process",
	"store.Postgres.MinConns":          "an internal bound; the URL can set it",
	"store.Postgres.Lifetime":          "an internal bound; the URL can set it",
	"store.Postgres.Idle":              "an internal bound; the URL can set it",
	"store.Postgres.IdleInTransaction": "an internal bound; the URL can set it",
	"store.Postgres.ConnectTimeout":    "an internal bound; the URL can set it",
	"store.Postgres.ApplicationName":   "a name; the URL can set it",
	"rest.Config.Log":                  "the log of the process",
	"rest.Config.Prefixes":             "part of the API's contract",
	"rest.Config.Timeout":              "an internal bound",
	"rest.Config.Outages":              "errors of adapters",
	"rest.Config.Unavailable":          "errors of adapters",
	"rest.Config.ClientIP":             "of the decider",
	"rest.Config.Lost":                 "metrics of the process",
	"rest.Config.Track":                "of the follower",
	"rest.Config.Budget":               "of the stores",
	"rest.Config.Observe":              "metrics of the process",
	"amqp.Config.Timeout":              "an internal bound",
	"notify.Config.Limits":             "of the stores",
	"notify.Config.Log":                "the log of the process",
	"notify.Config.Now":                "the clock of the database",
	"smtp.Config.Timeout":              "an internal bound",
	"kycaid.Config.Timeout":            "an internal bound",
}

// fullSettings are settings of which each has a value that is not zero, and that is not the default's
// where that can be.
func fullSettings(t *testing.T) config.Settings {
	t.Helper()
	var s config.Settings
	root := reflect.ValueOf(&s).Elem()
	for i := range root.NumField() {
		group := root.Field(i)
		for j := range group.NumField() {
			f, tag := group.Field(j), group.Type().Field(j).Tag
			values := strings.Split(tag.Get("enum"), ",")
			switch f.Interface().(type) {
			case string, config.Secret:
				f.SetString("x")
				if last := values[len(values)-1]; last != "" {
					f.SetString(last)
				}
			case bool:
				f.SetBool(true)
			case int:
				f.SetInt(7)
			case time.Duration:
				f.SetInt(int64(7 * time.Second))
			case []string:
				f.Set(reflect.ValueOf([]string{"x"}))
			case []netip.Prefix:
				f.Set(reflect.ValueOf([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}))
			default:
				t.Fatalf("no value for a setting of type %s", f.Type())
			}
		}
	}
	s.Listen.GRPC = "unix:///x"
	return s
}

// configs are all configurations that package configured makes.
func configs(s config.Settings, rules exchange.Rules) []any {
	public, auth0 := configured.Published(s)
	return []any{
		public, auth0,
		configured.Postgres(s), configured.Redis(s), configured.Keys(s), configured.Tokens(s), configured.Decisions(s),
		configured.Policy(s, nil), configured.Audit(s), configured.Accounts(s, rules, []string{"staff"}),
		configured.Persons(s, rules), configured.Twilio(s), configured.SignIns(s), configured.Codes(s), configured.Sessions(s), configured.Cookies(s),
		configured.Directory(s), configured.APIKeys(s), configured.KeyRules(s), configured.GRPC(s), configured.REST(s), configured.CORS(s),
		configured.Broker(s), configured.Mail(s), configured.SMTP(s), configured.KYC(s), configured.Bucket(s), configured.Scanner(s),
		configured.Auth0(s), configured.GeeTest(s), configured.Captcha(s),
	}
}

// Every field of each configuration is filled by some setting, or named as one that none fills.
func TestNoFieldOfAConfigIsForgotten(t *testing.T) {
	rules := exchange.Rules{
		Activation: map[string]string{"email": "verified"}, Triggers: []account.Trigger{{}}, StorageTitles: []string{"x"}, ProfileVerifiers: []string{"x"},
	}
	filled := map[string]bool{}
	for _, s := range []config.Settings{fullSettings(t), config.Default(), otherSettings(t)} {
		for _, c := range configs(s, rules) {
			v := reflect.ValueOf(c)
			for i := range v.NumField() {
				name := fmt.Sprintf("%s.%s", v.Type(), v.Type().Field(i).Name)
				filled[name] = filled[name] || !v.Field(i).IsZero()
			}
		}
	}
	for name, ok := range filled {
		if _, known := unsettled[name]; ok == known {
			t.Errorf("%s: filled by a setting %v, named as one without a setting %v", name, ok, known)
		}
	}
	for name := range unsettled {
		if _, ok := filled[name]; !ok {
			t.Errorf("%s is no field of a configuration any more", name)
		}
	}
}

// otherSettings are full ones with other choices where those make a field zero.
func otherSettings(t *testing.T) config.Settings {
	t.Helper()
	s := fullSettings(t)
	s.Captcha.Kind, s.Session.Secure = "recaptcha", "true"
	return s
}

// A package has no second default for a setting: it refuses a configuration that lacks them, and
// takes that of the default settings.
func TestDefaultsStandInTheSettingsAlone(t *testing.T) {
	s := config.Default()
	valid := func(c interface{ Validate() error }) error { return c.Validate() }
	failed := func(_ any, err error) error { return err }
	rules := exchange.Rules{Activation: map[string]string{"email": "verified"}}
	s.Redis.URL, s.Events.Host = "redis://h", "h"
	s.Storage.Bucket, s.Storage.AccessKey, s.Storage.SecretKey, s.Storage.Clamd = "abc", "k", "k", "h:1"
	s.External.KYCAIDToken, s.External.TwilioAccount, s.External.TwilioToken = "t", "AC1", "t"
	challenges, err := factor.NewChallenges(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	logged := configured.REST(s)
	logged.Log = slog.New(slog.DiscardHandler)
	for name, c := range map[string][2]error{ // none of the settings, the default ones
		"accounts":   {valid(account.Config{}), valid(configured.Accounts(s, rules, []string{"admin"}))},
		"activities": {valid(audit.Config{}), valid(configured.Audit(s))},
		"API keys":   {failed(apikey.NewCache(apikey.CacheConfig{}, nil, nil)), failed(apikey.NewCache(configured.APIKeys(s), nil, nil))},
		"bucket":     {valid(s3.Config{Bucket: "abc", AccessKey: "k", SecretKey: "k", Endpoint: "https://h"}), valid(configured.Bucket(s))},
		"broker":     {valid(amqp.Config{}), valid(configured.Broker(s))},
		"codes":      {failed(factor.NewService(factor.Config{}, factor.Parts{})), failed(factor.NewService(configured.Codes(s), factor.Parts{Challenges: challenges}))},
		"decisions":  {valid(authz.Config{}), valid(configured.Decisions(s))},
		"directory":  {failed(directory.New(directory.Config{}, nil, nil)), failed(directory.New(configured.Directory(s), nil, nil))},
		"keys":       {valid(token.KeysConfig{}), valid(configured.Keys(s))},
		"KYC":        {valid(kycaid.Config{Token: "t"}), valid(configured.KYC(s))},
		"mail":       {failed(notify.New(notify.Config{From: "a@b.c"}, notify.Rules{}, nil, nil)), failed(notify.New(configured.Mail(s), notify.Rules{}, nil, nil))},
		"Redis":      {valid(redis.Config{URL: "redis://h"}), valid(configured.Redis(s))},
		"REST":       {failed(rest.New(rest.Config{Log: logged.Log})), failed(rest.New(logged))},
		"scanner":    {valid(clamd.Config{Address: "h:1"}), valid(configured.Scanner(s))},
		"sessions":   {valid(session.Config{}), valid(configured.Sessions(s))},
		"sign-ins":   {valid(signin.Config{}), valid(configured.SignIns(s))},
		"SMTP":       {failed(smtp.New(smtp.Config{Helo: "a.b"}, nil)), failed(smtp.New(configured.SMTP(s), nil))},
		"Twilio":     {failed(twilio.NewSMS(twilio.Config{AccountSID: "AC1", AuthToken: "t"}, nil, nil)), failed(twilio.NewSMS(configured.Twilio(s), nil, nil))},
		"tokens":     {valid(token.Config{}), valid(configured.Tokens(s))},
	} {
		if c[0] == nil {
			t.Errorf("%s: made without any setting", name)
		}
		if c[1] != nil {
			t.Errorf("%s: the default settings are refused: %v", name, c[1])
		}
	}
}
