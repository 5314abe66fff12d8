package config

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// legal are values that a setting may have by its own declaration.
func (f field) legal() []string {
	switch {
	case f.enum != nil:
		return f.enum
	case f.kind == reflect.TypeFor[bool]():
		return []string{"true", "false"}
	case f.kind == reflect.TypeFor[int]():
		values := []string{f.def}
		if f.min != "" {
			least, _ := strconv.Atoi(f.min)
			values = append(values, f.min, strconv.Itoa(least+1))
		}
		if f.max != "" {
			values = append(values, f.max)
		}
		return values
	case f.kind == reflect.TypeFor[time.Duration]():
		return []string{"0", "1", "1ms", "1500ms", "59s", "60", "3m", "1h", "25h", "800h"}
	}
	return []string{f.def, "x", "a,b", "*", "https://a.example"}
}

// Design D29: a setting alone, at any value that it may have, is right beside the defaults of
// all others, or the error names it.
func TestEachSettingAloneIsTakenOrNamed(t *testing.T) {
	for _, f := range settingFields() {
		for _, value := range f.legal() {
			_, err := Load([]string{f.env() + "=" + value})
			if err == nil {
				continue
			}
			if !strings.Contains(err.Error(), f.env()) {
				t.Errorf("%s=%s: the error does not name it: %v", f.env(), value, err)
			}
		}
	}
}

// Two settings, each taken alone, are taken together unless the error names one of them.
func TestOfTwoSettingsOneIsNamed(t *testing.T) {
	var alone []string
	for _, f := range settingFields() {
		for _, value := range f.legal() {
			if _, err := Load([]string{f.env() + "=" + value}); err == nil && f.kind == reflect.TypeFor[time.Duration]() {
				alone = append(alone, f.env()+"="+value)
			}
		}
	}
	if len(alone) < 50 {
		t.Fatalf("%d values are taken alone, want many", len(alone))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		a, b := alone[r.IntN(len(alone))], alone[r.IntN(len(alone))]
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		if nameA == nameB {
			continue
		}
		_, err := Load([]string{a, b})
		if err != nil && !strings.Contains(err.Error(), nameA) && !strings.Contains(err.Error(), nameB) {
			t.Errorf("%s and %s: the error names neither: %v", a, b, err)
		}
	}
}

func TestSettingsAdaptToThoseTheyDependOn(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		got     func(Settings) time.Duration
		want    time.Duration // 0 for an error
	}{
		"reuse, to half of a short life": {[]string{"BARONG_JWT_EXPIRE_TIME=60"}, func(s Settings) time.Duration { return s.Token.Reuse }, 30 * time.Second},
		"reuse, a minute of a long one":  {[]string{"BARONG_JWT_EXPIRE_TIME=900"}, func(s Settings) time.Duration { return s.Token.Reuse }, time.Minute},
		"reuse as set":                   {[]string{"BARONG_JWT_EXPIRE_TIME=60", "BARONG_JWT_REUSE=10"}, func(s Settings) time.Duration { return s.Token.Reuse }, 10 * time.Second},
		"reuse as set, too long":         {[]string{"BARONG_JWT_EXPIRE_TIME=60", "BARONG_JWT_REUSE=31"}, func(s Settings) time.Duration { return s.Token.Reuse }, 0},
		"a session's age, to idle time":  {[]string{"BARONG_SESSION_EXPIRE_TIME=48h"}, func(s Settings) time.Duration { return s.Session.Absolute }, 48 * time.Hour},
		"idle time, to a session's age":  {[]string{"BARONG_SESSION_ABSOLUTE_LIFETIME=60"}, func(s Settings) time.Duration { return s.Session.Expire }, time.Minute},
		"age of caches, to the policy's": {[]string{"BARONG_POLICY_MAX_STALE=10"}, func(s Settings) time.Duration { return s.Decision.CacheMaxStale }, 10 * time.Second},
		"age of policy, to the caches'":  {[]string{"BARONG_CACHE_MAX_STALE=400"}, func(s Settings) time.Duration { return s.Policy.MaxStale }, 400 * time.Second},
		"time to stop, to the drain":     {[]string{"BARONG_DRAIN_DELAY=60"}, func(s Settings) time.Duration { return s.Process.ShutdownTimeout }, 70 * time.Second},
		"both set, against each other":   {[]string{"BARONG_DRAIN_DELAY=60", "BARONG_SHUTDOWN_TIMEOUT=60"}, func(s Settings) time.Duration { return 0 }, 0},
	} {
		s, err := Load(tt.environ)
		if tt.want == 0 {
			if err == nil {
				t.Errorf("%s: got no error", name)
			}
			continue
		}
		if err != nil || tt.got(s) != tt.want {
			t.Errorf("%s: got %v (%v), want %v", name, tt.got(s), err, tt.want)
		}
	}
}

// The consequences of an unreadable value are no problems of their own.
func TestAnUnreadableValueIsTheOnlyProblem(t *testing.T) {
	for _, f := range settingFields() {
		if f.kind.Kind() == reflect.String && f.enum == nil && f.match == "" || f.kind == reflect.TypeFor[[]string]() {
			continue // any text can be read
		}
		_, err := Load([]string{f.env() + "=§"})
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Key != f.key {
			t.Errorf("%s=§: got %v, want one problem, its own", f.env(), err)
		}
	}
	_, err := Load([]string{"BARONG_JWT_EXPIRE_TIME=abc", "BARONG_JWT_REUSE=200", "BARONG_SESSION_NAME=a b"})
	if got := strings.Count(fmt.Sprint(err), "\n") + 1; got != 2 || !strings.Contains(err.Error(), "BARONG_SESSION_NAME") {
		t.Errorf("got %v, want the two values that are wrong in themselves", err)
	}
}

// referenceSettings are all keys of the service that this replaces, from its tables.
const referenceSettings = `app_name domain uid_prefix session_name session_expire_time kyc_provider required_docs_expire
doc_num_limit geoip_lang csrf_protection apikey_nonce_lifetime gateway jwt_expire_time profile_double_verification
crc32_salt api_data_masking_enabled first_registration_superadmin mgn_api_keys_user mgn_api_keys_sa password_regexp
password_min_entropy password_use_dictionary captcha geetest_id geetest_key recaptcha_site_key recaptcha_secret_key
event_api_rabbitmq_host event_api_rabbitmq_port event_api_rabbitmq_username event_api_rabbitmq_password vault_address
vault_token vault_app_name redis_cluster redis_url redis_password api_cors_origins api_cors_max_age
api_cors_allow_credentials config maxminddb_path seeds_file authz_rules_file sender_email sender_name smtp_host smtp_port
smtp_user smtp_password smtp_logo_link default_language kycaid_authorization_token kycaid_sandbox_mode
kycaid_api_endpoint kycaid_form_id auth0_domain auth0_client_id storage_provider storage_bucket_name storage_access_key
storage_secret_key storage_endpoint storage_region storage_signature_version storage_pathstyle upload_size_min_range
upload_size_max_range upload_auth_url_expiration upload_extension_whitelist phone_verification twilio_phone_number
twilio_account_sid twilio_auth_token twilio_service_sid sms_content_template event_api_jwt_private_key
event_api_jwt_algorithm sentry_dsn_backend admin_email admin_password`

// otherVariables are those that it takes without the prefix.
const otherVariables = `JWT_PRIVATE_KEY_PATH SECRET_KEY_BASE JWT_ISSUER JWT_AUDIENCE JWT_ALGORITHM JWT_DEFAULT_LEEWAY
JWT_ISSUED_AT_LEEWAY JWT_EXPIRATION_LEEWAY JWT_NOT_BEFORE_LEEWAY DATABASE_ADAPTER DATABASE_HOST DATABASE_PORT DATABASE_USER
DATABASE_PASS DATABASE_NAME EVENT_API_RABBITMQ_URL LOG_LEVEL PORT WEB_CONCURRENCY RAILS_MAX_THREADS RAILS_MIN_THREADS
REDIS_URL JWT_PUBLIC_KEY`

// Every setting of the service that this replaces is one here, or the error and the reference
// name its successor; none is answered with a guess.
func TestSettingsOfTheServiceThatThisReplaces(t *testing.T) {
	mine := map[string]bool{}
	for _, f := range settingFields() {
		mine[f.key] = true
		for _, a := range f.aliases {
			mine[a] = true
		}
	}
	page := Markdown()
	for key := range strings.FieldsSeq(referenceSettings) {
		if mine[key] {
			continue
		}
		variable := Prefix + strings.ToUpper(key)
		_, err := Load([]string{variable + "=x"})
		if err == nil || !strings.Contains(err.Error(), variable+": no setting any more: ") || strings.Contains(err.Error(), "nearest") {
			t.Errorf("%s: got %v, want what is instead of it", variable, err)
		}
		if !strings.Contains(page, "`"+variable+"`") {
			t.Errorf("the reference does not say what became of %s", variable)
		}
	}
	for name := range strings.FieldsSeq(otherVariables) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("the reference does not say what became of %s", name)
		}
	}
	for _, r := range replaced {
		for name := range strings.FieldsSeq(r.names) {
			if key, ok := strings.CutPrefix(name, Prefix); ok && mine[strings.ToLower(key)] {
				t.Errorf("%s is a setting, and among the replaced", name)
			}
		}
	}
	for _, k := range kept {
		if !mine[strings.ToLower(strings.TrimPrefix(k.name, Prefix))] {
			t.Errorf("%s is no setting", k.name)
		}
	}
}

func TestTheNearestNameIsToldOnlyWhenItIsNear(t *testing.T) {
	for name, want := range map[string]string{
		"BARONG_HTP_ADDR":             "the nearest is BARONG_HTTP_ADDR",
		"BARONG_APIKEY_NONCE":         "the nearest is BARONG_APIKEY_NONCE_LIFETIME",
		"BARONG_SESSION_EXPIRE_TIMES": "the nearest is BARONG_SESSION_EXPIRE_TIME",
		"BARONG_FLUX_CAPACITOR":       "barong config docs lists all",
		"BARONG_X":                    "barong config docs lists all",
		"BARONG_TOKEN":                "barong config docs lists all",
	} {
		if _, err := Load([]string{name + "=x"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
