package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"barong/internal/event"
	"barong/internal/hostile"
	"barong/internal/strictyaml"
)

func over(op string, parts ...Expression) Expression { return Expression{Operator: op, Parts: parts} }

func is(path string, values ...string) Expression {
	return Expression{Operator: "in", Path: path, Values: values}
}

// A file in the reference's own shape, with entries that we do not receive.
const referenceFile = `
keychain:
  barong: { algorithm: RS256, value: LS0t }
  peatio: { algorithm: EdDSA, value: LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUNvd0JRWURLMlZ3QXlFQTZraHhsK2JZSE83R2lMRzcyVWNldFFOUG14dm9LbElySzdERzlGSXlEMjg9Ci0tLS0tRU5EIFBVQkxJQyBLRVktLS0tLQo }
exchanges:
  barong_system: { name: barong.events.system, signer: barong }
  barong_model: { name: barong.events.model, signer: barong }
  peatio: { name: peatio.events.model, signer: peatio }
events:
  - name: Registration
    key: user.email.confirmation.token
    exchange: barong_system
    templates:
      EN:
        subject: Registration Confirmation
        template_path: email_confirmation.en.html.erb
      ru:
        subject: Подтверждение Регистрации
        template_path: email_confirmation.ru.html.erb
  - name: Label
    key: label.created
    exchange: barong_model
    templates:
      en: { subject: Phone verified, template_path: label }
    expression:
      and: { record.key: phone, record.user.level: 2 }
  - name: Deposit
    key: deposit.updated
    exchange: peatio
    templates:
      en: { subject: Deposit Accepted, template_path: deposit }
`

func TestParseRulesReadsTheReferencesFile(t *testing.T) {
	got, err := ParseRules([]byte(referenceFile))
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{{
		Name: "Registration", Event: "system.user.email.confirmation.token",
		Templates: map[string]Template{
			"en": {"Registration Confirmation", "email_confirmation"},
			"ru": {"Подтверждение Регистрации", "email_confirmation"},
		},
	}, {
		Name: "Label", Event: "model.label.created",
		Expression: over("and", is("record.key", "phone"), is("record.user.level", "2")),
		Templates:  map[string]Template{"en": {"Phone verified", "label"}},
	}}
	if d := cmp.Diff(want, got.rules); d != "" {
		t.Errorf("rules (-want +got):\n%s", d)
	}
	all := got.Foreign()
	if len(all) != 1 {
		t.Fatalf("got %d entries of other services, want 1", len(all))
	}
	r := all[0]
	if r.Name != "Deposit" || r.Event != "mail.peatio.events.model.deposit.updated" ||
		r.Exchange != "peatio.events.model" || r.Key != "deposit.updated" || r.Signer.Signer() != "peatio" {
		t.Errorf("the entry of another service is %s, %s, %s, %s by %s", r.Name, r.Event, r.Exchange, r.Key, r.Signer.Signer())
	}
	if n := len(got.Own().Foreign()); n != 0 || len(got.Own().rules) != 2 {
		t.Errorf("got %d entries of other services in our own rules, want none", n)
	}
}

func TestParseRulesTellsEveryProblemWithItsLine(t *testing.T) {
	const exchanges = "exchanges: { s: { name: barong.events.system } }\n"
	tests := map[string]struct {
		in   string
		want []string
	}{
		"an unknown key at the top":  {"event: []", []string{`line 1: the file: unknown key "event"; did you mean "events"?`}},
		"an unknown exchange":        {"events:\n- { key: a.b, exchange: x, templates: { en: { subject: S, template_path: p } } }", []string{`line 2: events: a.b: exchange "x" is not among exchanges`}},
		"an event without a key":     {exchanges + "events:\n- { exchange: s, templates: { en: { subject: S, template_path: p } } }", []string{"line 3: events: key is missing"}},
		"an event without templates": {exchanges + "events:\n- { key: session.create, exchange: s }", []string{"line 3: events: session.create: it has no templates"}},
		"a subject and a path missing": {exchanges + "events:\n- { key: session.create, exchange: s, templates: { en: { template_path: p }, ru: { subject: S } } }",
			[]string{"templates: en: subject is missing", "templates: ru: template_path is missing"}},
		"a path that leaves the folder": {exchanges + "events:\n- { key: session.create, exchange: s, templates: { en: { subject: S, template_path: ../secret } } }",
			[]string{"templates: en: template_path must be a plain file name"}},
		"a subject that adds a header": {exchanges + "events:\n- { key: session.create, exchange: s, templates: { en: { subject: \"S\\nBcc: x@y\", template_path: p } } }",
			[]string{"templates: en: subject has a line break"}},
		"an unknown operator": {exchanges + "events:\n- { key: session.create, exchange: s, expression: { nand: { a: b } }, templates: { en: { subject: S, template_path: p } } }",
			[]string{`expression: unknown key "nand"; did you mean "and"?`}},
		"a path that leads nowhere": {exchanges + "events:\n- { key: session.create, exchange: s, expression: { and: { recrd.key: b } }, templates: { en: { subject: S, template_path: p } } }",
			[]string{`line 3: expression: path "recrd.key" leads nowhere`}},
		"a list of no values": {exchanges + "events:\n- { key: session.create, exchange: s, expression: { and: { record.key: [] } }, templates: { en: { subject: S, template_path: p } } }",
			[]string{"expression: record.key has no values"}},
		"operators that are their own part": {exchanges + "events:\n- { key: session.create, exchange: s, expression: { and: &x [ { or: *x } ] }, templates: { en: { subject: S, template_path: p } } }",
			[]string{"more than 32 operators in one another"}},
		"parts that double at each step": {exchanges + "x: { a: &a [ record.key == '1' ], b: &b [ { or: *a }, { or: *a } ] }\n" +
			"events:\n- { key: session.create, exchange: s, expression: { and: " + strings.Repeat("[ { or: *b }, { or: ", 28) + "*b" + strings.Repeat(" } ]", 28) + " }, templates: { en: { subject: S, template_path: p } } }",
			[]string{`unknown key "x"`}},
		"a key that no event has": {exchanges + "events:\n- { key: user.email.confirmtion.token, exchange: s, templates: { en: { subject: S, template_path: p } } }",
			[]string{`line 3: events of barong.events.system: unknown key "user.email.confirmtion.token"; did you mean "user.email.confirmation.token"?`}},
		"an exchange that we do not have": {"exchanges: { s: { name: barong.events.kyc } }\nevents:\n- { key: verification.called, exchange: s, templates: { en: { subject: S, template_path: p } } }",
			[]string{`line 3: events of barong.events.kyc: unknown key "verification.called"`}},
		"an event that is there twice": {exchanges + "events:\n- { key: session.create, exchange: s, templates: { en: { subject: S, template_path: p } } }\n- { key: session.create, exchange: s, templates: { en: { subject: S, template_path: p } } }",
			[]string{`line 4: events: system.session.create is there twice: "system.session.create" above writes all mails`}},
		"a signer that is not named": {"exchanges: { p: { name: peatio.events.model } }\nevents:\n- { key: a.b, exchange: p, templates: { en: { subject: S, template_path: p } } }",
			[]string{"line 1: exchanges: peatio.events.model: signer is missing"}},
		"a signer without a key": {"exchanges: { p: { name: peatio.events.model, signer: peatio } }\nevents:\n- { key: a.b, exchange: p, templates: { en: { subject: S, template_path: p } } }",
			[]string{`line 1: exchanges: peatio.events.model: signer "peatio" is not in the keychain`}},
		"a signer whose key is none": {"keychain: { peatio: { algorithm: HS256, value: c2VjcmV0 } }\nexchanges: { p: { name: peatio.events.model, signer: peatio } }\nevents:\n- { key: a.b, exchange: p, templates: { en: { subject: S, template_path: p } } }",
			[]string{`line 1: keychain: peatio: token: unusable key: the algorithm is "HS256"`}},
		"an exchange without a name": {"exchanges: { p: { signer: peatio } }\nevents:\n- { key: a.b, exchange: p, templates: { en: { subject: S, template_path: p } } }",
			[]string{"line 1: exchanges: name is missing"}},
		"a key that no broker takes": {"exchanges: { p: { name: peatio.events.model, signer: peatio } }\nevents:\n- { key: " + strings.Repeat("k", 240) + ", exchange: p, templates: { en: { subject: S, template_path: p } } }",
			[]string{"exchange and key are too long"}},
		"another service's event that is there twice": {strings.TrimSuffix(referenceFile, "\n") + referenceFile[strings.LastIndex(referenceFile, "\n  - name"):],
			[]string{"deposit.updated of peatio.events.model is there twice"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseRules([]byte(tt.in))
			if err == nil {
				t.Fatal("got no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, want in it %q", err, w)
				}
			}
		})
	}
}

// Identity 14.10, event filter 1 to 9, and AZ-397.
func TestExpression(t *testing.T) {
	object := json.RawMessage(`{"record":{"key":"phone","value":"verified","user":{"level":2,"otp":true,"username":null}},"name":"model.label.created"}`)
	tests := map[string]struct {
		e    Expression
		want bool
	}{
		"none: sent":                                   {Expression{}, true},
		"a nested value is found":                      {over("and", is("record.user.level", "2")), true},
		"a truth value is found":                       {over("and", is("record.user.otp", "true")), true},
		"an unknown path has no value":                 {over("and", is("record.user.none", "")), false},
		"a path through a value has none":              {over("and", is("record.key.phone", "phone")), false},
		"null has no value":                            {over("and", is("record.user.username", "")), false},
		"an object has no value":                       {over("or", is("record.user", "map")), false},
		"and: all match, sent":                         {over("and", is("record.key", "phone"), is("record.value", "verified")), true},
		"and: one mismatch, skipped":                   {over("and", is("record.key", "phone"), is("record.value", "rejected")), false},
		"or: one match, sent":                          {over("or", is("record.key", "phone"), is("record.value", "rejected")), true},
		"or: no match, skipped":                        {over("or", is("record.key", "email"), is("record.value", "rejected")), false},
		"not: a single matching value, skipped":        {over("not", is("record.key", "phone")), false},
		"not: a single mismatch, sent":                 {over("not", is("record.key", "email")), true},
		"not: two matching values, skipped":            {over("not", is("record.key", "phone"), is("record.value", "verified")), false},
		"not: one of two mismatching, sent":            {over("not", is("record.key", "phone"), is("record.value", "x")), true},
		"values are compared whole and by letter case": {over("and", is("record.key", "Phone")), false},
	}
	for name, tt := range tests {
		if got := tt.e.Matches(object); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	if over("not", is("record.a", "b")).Matches(json.RawMessage(`[1]`)) {
		t.Error("what cannot be read met an expression")
	}
}

func TestBuiltInRulesWantWhatTheyShould(t *testing.T) {
	rules, err := ParseRules(DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	u := event.User{UID: "ID0000000001", Email: "a@example.com", State: "active", Role: "member"}
	label := func(key, value string) event.Label { return event.Label{ID: 1, Key: key, Value: value, User: u} }
	n := event.Notice{User: u, Domain: "example.com"}
	tests := map[string]struct {
		e    event.Event
		want bool
	}{
		"the confirmation link":      {event.ConfirmationToken(n, "t"), true},
		"the reset link":             {event.ResetToken(n, "t"), true},
		"a password reset":           {event.PasswordReset(n), true},
		"a password change":          {event.PasswordChanged(n), true},
		"a sign-in from a new place": {event.DeviceAdded(u, "192.0.2.1", "x", "", time.Unix(0, 0)), true},
		"every other sign-in":        {event.SessionCreated(u, "192.0.2.1", "x"), false},
		"a new user":                 {event.UserCreated(u), false},
		"a phone label":              {event.LabelCreated(label("phone", "verified")), true},
		"the e-mail label":           {event.LabelCreated(label("email", "verified")), false},
		"a reviewed document":        {event.LabelUpdated(label("document", "rejected"), label("document", "pending")), true},
	}
	for name, tt := range tests {
		if got := rules.Wants(tt.e); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(referenceFile))
	f.Add(DefaultRules())
	f.Add([]byte("events:\n- &a { key: *a }"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRules(data)
		if err != nil && len(r.rules) > 0 {
			t.Errorf("a broken file gave %d rules", len(r.rules))
		}
		all := r.rules
		for _, rule := range r.Foreign() {
			if rule.Signer.Signer() == "" {
				t.Errorf("nobody signs %s", rule.Event)
			}
			all = append(all, rule.Rule)
		}
		for _, rule := range all {
			for _, tm := range rule.Templates {
				if strings.ContainsAny(tm.Path, `/\`) || strings.ContainsAny(tm.Subject, "\r\n") {
					t.Errorf("unsafe template %+v", tm)
				}
			}
		}
	})
}

// A rules file, a condition within it and a person's language cost as much as their length.
func TestRulesTimeIsLinear(t *testing.T) {
	hostile.Linear(t, hostile.Grammar{
		Words: []string{"events:\n", "- key: a\n"}, Longest: 4 << 10,
		Marks: []string{"\n", " ", "- ", ": ", `"`},
	}, func(text string) { _, _ = ParseRules([]byte(text)) })
	hostile.Linear(t, hostile.Grammar{
		Words: []string{`record.key == "a"`, "a in ['b', 1]", "&&", "||", "x."}, Longest: 16 << 10,
		Marks: []string{" ", "(", ")", `"`, "'", `\`, ",", "=", "!", ".", "1", "-"},
	}, func(text string) {
		var d strictyaml.Document
		d.Parse([]byte("x: y"))
		x := expressions{Document: &d}
		x.text(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: 1, Column: 4})
	})
}
