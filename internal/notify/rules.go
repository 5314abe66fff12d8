package notify

import (
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"barong/internal/event"
	"barong/internal/strictyaml"
	"barong/internal/token"
)

// Rules say which events become mails; they are the file mailer.yml.
type Rules struct {
	rules   []Rule
	foreign []ForeignRule
	silent  []string
}

// referenceOnly are the reference's events that this service does not have (AZ-385): a file
// that serves both may name them.
var referenceOnly = []string{
	"model.profile.created", "model.profile.updated", "model.document.created",
	"model.data_storage.created", "model.data_storage.updated",
}

// A Rule makes mails of one event.
type Rule struct {
	// Name is for people; Event is the full name: "system.session.create".
	Name, Event string
	// Expression decides by the event's content; the zero value always sends.
	Expression Expression
	// Templates by language, in lower case.
	Templates map[string]Template
}

// A Template is a subject and the name of its files: "sign_up" stands for sign_up.en.html and
// sign_up.en.txt in language en.
type Template struct {
	Subject, Path string
}

// A ForeignRule makes mails of another service's event, which comes through a broker. Its Event
// is the name that it has in our outbox: Category, exchange and key.
type ForeignRule struct {
	Rule
	// Exchange is the broker's name of it, Key the routing key.
	Exchange, Key string
	// Signer is the signer of messages from the exchange.
	Signer token.ForeignKey
}

// Category begins the names of events that are mails and nothing else.
const Category = "mail"

// maxName is the length of names in the outbox, and more than AMQP takes.
const maxName = 255

//go:embed mailer.yml
var defaults embed.FS

// DefaultRules is the built-in mailer.yml.
func DefaultRules() []byte {
	text, err := defaults.ReadFile("mailer.yml")
	if err != nil {
		panic(err) // it is embedded
	}
	return text
}

// ParseRules reads a mailer.yml of the reference: keychain, exchanges and events. Our own events
// do not come through a broker, so of the keychain only those keys are looked at that sign
// another service's. Unknown keys, exchanges and operators, templates without a subject or
// path, keys of ours that no event has, and signers without a usable key are errors; all
// come at once, each with its line. An event may have several entries: the first whose
// expression holds writes the mail, and one that could never is an error too.
func ParseRules(data []byte) (Rules, error) {
	var d strictyaml.Document
	var r Rules
	top := d.Parse(data)
	if top == nil {
		return r, d.Err()
	}
	f := file{keychain: map[string]signerEntry{}, exchanges: map[string]exchangeEntry{}}
	var events []*yaml.Node
	for _, field := range d.Fields(top, "the file") {
		switch strings.ToLower(field.Key) {
		case "keychain":
			for _, k := range d.Fields(field.Value, "keychain") {
				e := signerEntry{line: k.Line}
				d.Record(k.Value, "keychain: "+k.Key, map[string]*string{"algorithm": &e.algorithm, "value": &e.value})
				f.keychain[k.Key] = e
			}
		case "exchanges":
			for _, x := range d.Fields(field.Value, "exchanges") {
				e := exchangeEntry{line: x.Line}
				if d.Record(x.Value, "exchanges: "+x.Key, map[string]*string{"name": &e.name, "signer": &e.signer}) {
					f.exchanges[x.Key] = e
				}
			}
		case "events":
			events = d.Items(field.Value, "events")
		default:
			d.Unknown(field, "the file", []string{"keychain", "exchanges", "events"})
		}
	}
	for _, n := range events {
		r.add(&d, n, &f)
	}
	if err := d.Err(); err != nil {
		return Rules{}, err
	}
	return r, nil
}

// file is the part that events refer to.
type file struct {
	keychain  map[string]signerEntry
	exchanges map[string]exchangeEntry
	// keys are those of keychain that were asked for.
	keys map[string]token.ForeignKey
}

type signerEntry struct {
	algorithm, value string
	line             int
}

type exchangeEntry struct {
	name, signer string
	line         int
}

// key is a signer's; its fault is reported once.
func (f *file) key(d *strictyaml.Document, signer string) token.ForeignKey {
	if k, ok := f.keys[signer]; ok {
		return k
	}
	e := f.keychain[signer]
	k, err := token.ParseForeignKey(signer, e.algorithm, e.value)
	if err != nil {
		d.Problem(e.line, "keychain: %s: %w", signer, err)
	}
	if f.keys == nil {
		f.keys = map[string]token.ForeignKey{}
	}
	f.keys[signer] = k
	return k
}

func (r *Rules) add(d *strictyaml.Document, n *yaml.Node, in *file) {
	rule := Rule{Templates: map[string]Template{}}
	var key, exchange string
	before := d.Len()
	for _, f := range d.Fields(n, "events") {
		switch strings.ToLower(f.Key) {
		case "name":
			rule.Name = d.Text(f.Value, "events: name")
		case "key":
			key = d.Text(f.Value, "events: key")
		case "exchange":
			exchange = d.Text(f.Value, "events: exchange")
		case "templates":
			for _, lang := range d.Fields(f.Value, "templates") {
				rule.Templates[strings.ToLower(lang.Key)] = readTemplate(d, lang)
			}
		case "expression":
			rule.Expression = readExpression(d, f)
		default:
			d.Unknown(f, "events", []string{"name", "key", "exchange", "templates", "expression"})
		}
	}
	x, known := in.exchanges[exchange]
	switch {
	case d.Len() > before:
		return
	case key == "":
		d.Problem(n.Line, "events: key is missing")
		return
	case !known:
		d.Problem(n.Line, "events: %s: exchange %q is not among exchanges", key, exchange)
		return
	case len(rule.Templates) == 0:
		d.Problem(n.Line, "events: %s: it has no templates", key)
		return
	}
	category, ours := strings.CutPrefix(x.name, event.ExchangePrefix)
	if !ours {
		r.addForeign(d, n.Line, in, x, ForeignRule{Rule: rule, Exchange: x.name, Key: key})
		return
	}
	rule.Event = category + "." + key
	if rule.Name == "" {
		rule.Name = rule.Event
	}
	switch keys := event.Keys(category); {
	case slices.Contains(keys, key):
	case slices.Contains(referenceOnly, rule.Event):
		r.silent = append(r.silent, rule.Event)
	default:
		d.Unknown(strictyaml.Field{Key: key, Line: n.Line}, "events of "+x.name, keys)
		return
	}
	for _, earlier := range r.rules {
		if earlier.Event == rule.Event && earlier.covers(rule) {
			d.Problem(n.Line, "events: %s is there twice: %q above writes all mails of this entry", rule.Event, earlier.Name)
			return
		}
	}
	r.rules = append(r.rules, rule)
}

// covers reports whether no event is left to a later rule of the same event.
func (r Rule) covers(later Rule) bool {
	return r.Expression.Operator == "" || reflect.DeepEqual(r.Expression, later.Expression)
}

func (r *Rules) addForeign(d *strictyaml.Document, line int, in *file, x exchangeEntry, rule ForeignRule) {
	rule.Event = Category + "." + rule.Exchange + "." + rule.Key
	if rule.Name == "" {
		rule.Name = rule.Event
	}
	_, known := in.keychain[x.signer]
	earlier := r.received(rule.Exchange, rule.Key)
	if len(earlier) > 0 {
		// Its mails wait under a name that stands for its content, so that none is ever
		// written by another entry of the same event.
		text, _ := json.Marshal(rule.Rule)
		rule.Event += fmt.Sprintf("#%.4x", sha256.Sum256(text))
	}
	twice := slices.ContainsFunc(earlier, func(e ForeignRule) bool { return e.covers(rule.Rule) || e.Event == rule.Event })
	switch {
	case rule.Exchange == "":
		d.Problem(x.line, "exchanges: name is missing")
	case len(rule.Event) > maxName:
		d.Problem(line, "events: %s: exchange and key are too long", rule.Key)
	case x.signer == "":
		d.Problem(x.line, "exchanges: %s: signer is missing: events of other services are believed by their signature only", rule.Exchange)
	case !known:
		d.Problem(x.line, "exchanges: %s: signer %q is not in the keychain", rule.Exchange, x.signer)
	case twice:
		d.Problem(line, "events: %s of %s is there twice: an entry above writes all mails of this one", rule.Key, rule.Exchange)
	case len(earlier) > 0 && earlier[0].Signer.Signer() != x.signer:
		d.Problem(line, "events: %s of %s is there with two signers", rule.Key, rule.Exchange)
	default:
		rule.Signer = in.key(d, x.signer)
		r.foreign = append(r.foreign, rule)
	}
}

// readTemplate takes the reference's file names, too: "sign_up.en.html.erb" is sign_up.
func readTemplate(d *strictyaml.Document, lang strictyaml.Field) Template {
	var t Template
	what := "templates: " + lang.Key
	if !d.Record(lang.Value, what, map[string]*string{"subject": &t.Subject, "template_path": &t.Path}) {
		return t
	}
	t.Path = strings.TrimSuffix(t.Path, ".erb")
	t.Path = strings.TrimSuffix(t.Path, ".html")
	t.Path = strings.TrimSuffix(t.Path, "."+strings.ToLower(lang.Key))
	switch {
	case t.Subject == "":
		d.Problem(lang.Line, "%s: subject is missing", what)
	case strings.ContainsAny(t.Subject, "\r\n"):
		d.Problem(lang.Line, "%s: subject has a line break", what)
	case t.Path == "":
		d.Problem(lang.Line, "%s: template_path is missing", what)
	case strings.ContainsAny(t.Path, `/\`) || strings.HasPrefix(t.Path, "."):
		d.Problem(lang.Line, "%s: template_path must be a plain file name", what)
	}
	return t
}

// rule is the first rule of our own event e whose expression holds.
func (r Rules) rule(e event.Event) (Rule, bool) {
	var object json.RawMessage
	for _, rule := range r.rules {
		if rule.Event != e.Name {
			continue
		}
		if rule.Expression.Operator != "" && object == nil {
			object = e.Object()
		}
		if rule.Expression.Matches(object) {
			return rule, true
		}
	}
	return Rule{}, false
}

// mail is the rule of another service's event by its name in our outbox.
func (r Rules) mail(name string) (ForeignRule, bool) {
	for _, rule := range r.foreign {
		if rule.Event == name {
			return rule, true
		}
	}
	return ForeignRule{}, false
}

// received are the rules for messages of an exchange with a routing key; all have one signer.
func (r Rules) received(exchange, key string) (found []ForeignRule) {
	for _, rule := range r.foreign {
		if rule.Exchange == exchange && rule.Key == key {
			found = append(found, rule)
		}
	}
	return found
}

// Foreign are the rules of other services' events, in the file's order.
func (r Rules) Foreign() []ForeignRule { return slices.Clone(r.foreign) }

// Silent are the events of entries that never write a mail here, as only the reference has them.
func (r Rules) Silent() []string { return slices.Clone(r.silent) }

// Own are the rules without those of other services' events.
func (r Rules) Own() Rules { return Rules{rules: r.rules, silent: r.silent} }

// Wants reports whether e becomes a mail. Of other services' events only those are emitted
// that do.
func (r Rules) Wants(e event.Event) bool {
	if _, ok := r.mail(e.Name); ok {
		return true
	}
	_, ok := r.rule(e)
	return ok
}
