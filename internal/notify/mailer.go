package notify

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/session"
)

// Config of the Mailer.
type Config struct {
	// From is the sender's address, FromName the name before it.
	From     string
	FromName string
	// DefaultLanguage is used where an event says none, or one without a template: "en".
	DefaultLanguage string
	// Site is the setting domain, for mails whose event does not tell it.
	Site string
	// Logo is the address of a picture for the templates, "" for none.
	Logo string
	// LinkLife is how long links in mails work: later, such a mail is not sent. 0 is for ever.
	LinkLife time.Duration
	// Now is time.Now when nil.
	Now func() time.Time
	// Limits count the mails to a reader; nil sets no budgets.
	Limits limit.Store
	// Log gets lines about dropped mails; nil gets none.
	Log *slog.Logger
	// Templates is a folder whose files replace built-in ones of the same name; "" for none.
	Templates string
}

// A Message is a mail ready to be sent. Its text may hold a link that proves its reader: it is
// not for logs.
type Message struct {
	// ID is stable over retries, so that receivers can tell a repetition: the part before @.
	ID       string
	Event    string
	From     mail.Address
	To       string
	Subject  string
	Language string
	Text     string // with LF line ends
	HTML     string
	// Link is the link for the mail's reader, "" for none.
	Link string
}

// String keeps the text, the link and the reader out of logs and errors.
func (m Message) String() string { return "mail about " + m.Event }

// GoString keeps them out of %#v.
func (m Message) GoString() string { return m.String() }

// A Sender delivers mails. A mail that will never be taken is event.ErrPermanent; any other
// error is worth another try. Errors do not name the reader.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// A Mailer is the destination of the outbox that writes mails. It is safe for concurrent use.
type Mailer struct {
	cfg    Config
	rules  Rules
	sender Sender
	users  Users
	pages  map[string]page // by path and language: "sign_up.en"
	now    func() time.Time
	drops  drops
}

type page struct {
	html *htmltemplate.Template
	text *texttemplate.Template
}

//go:embed templates
var builtIn embed.FS

// New makes a mailer; it reads every template that the rules name, and its error names those
// that are missing or broken. Users are read for the rules of other services.
func New(cfg Config, rules Rules, sender Sender, users Users) (*Mailer, error) {
	if cfg.DefaultLanguage == "" {
		return nil, errors.New("no default language")
	}
	cfg.DefaultLanguage = strings.ToLower(cfg.DefaultLanguage)
	switch from, err := mail.ParseAddress(cfg.From); {
	case err != nil:
		return nil, fmt.Errorf("sender's address %q: %w", cfg.From, err)
	case from.Address != cfg.From:
		return nil, fmt.Errorf("sender's address %q: want %s alone; the name is another setting", cfg.From, from.Address)
	}
	if strings.ContainsAny(cfg.FromName, "\r\n") {
		return nil, errors.New("sender's name has a line break")
	}
	m := &Mailer{cfg: cfg, rules: rules, sender: sender, users: users, pages: map[string]page{}, now: cfg.Now}
	if m.now == nil {
		m.now = time.Now
	}
	if cfg.Templates != "" {
		root, err := os.OpenRoot(cfg.Templates)
		if err != nil {
			return nil, fmt.Errorf("open the folder of templates: %w", err)
		}
		_ = root.Close() // nothing was written
	}
	var wrong []error
	all := slices.Clone(rules.rules)
	for _, r := range rules.foreign {
		all = append(all, r.Rule)
	}
	for _, r := range all {
		for lang, t := range r.Templates {
			name := t.Path + "." + lang
			if _, ok := m.pages[name]; ok {
				continue
			}
			p, err := m.parse(name)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("mail %s: %w", r.Name, err))
			}
			m.pages[name] = p
		}
	}
	return m, errors.Join(wrong...)
}

// parse reads the two files of a template. A folder of the operator's that has only the HTML
// takes the built-in text no more: the mail is then HTML alone.
func (m *Mailer) parse(name string) (page, error) {
	var p page
	own, err := m.own(name+".html", name+".txt")
	if err != nil {
		return p, err
	}
	files := map[string]string{}
	for _, kind := range []string{".html", ".txt"} {
		if own != nil {
			files[kind] = own[name+kind]
			continue
		}
		text, err := builtIn.ReadFile("templates/" + name + kind)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		files[kind] = string(text)
	}
	if files[".html"] == "" && files[".txt"] == "" {
		return p, fmt.Errorf("there is no template %s.html or %s.txt", name, name)
	}
	if text := files[".html"]; text != "" {
		if p.html, err = htmltemplate.New(name + ".html").Option("missingkey=zero").Parse(text); err != nil {
			return p, err
		}
	}
	if text := files[".txt"]; text != "" {
		p.text, err = texttemplate.New(name + ".txt").Option("missingkey=zero").Parse(text)
	}
	return p, err
}

// own reads the operator's files of these names; nil when the folder has none of them.
func (m *Mailer) own(names ...string) (map[string]string, error) {
	if m.cfg.Templates == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(m.cfg.Templates)
	if err != nil {
		return nil, fmt.Errorf("open the folder of templates: %w", err)
	}
	defer root.Close()
	var found map[string]string
	for _, name := range names {
		text, err := root.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("read template: %w", err)
		default:
			if found == nil {
				found = map[string]string{}
			}
			found[name] = string(text)
		}
	}
	return found, nil
}

// Languages are those in which every rule of our own events has a template, sorted.
func (m *Mailer) Languages() []string {
	count := map[string]int{}
	for _, r := range m.rules.rules {
		for lang := range r.Templates {
			count[lang]++
		}
	}
	var all []string
	for lang, n := range count {
		if n == len(m.rules.rules) {
			all = append(all, lang)
		}
	}
	slices.Sort(all)
	return all
}

// Send implements event.Sender: it writes the mail of an item and gives it to the Sender. An
// item that makes no mail is done, and so is one whose mail is dropped: see Lane.
func (m *Mailer) Send(ctx context.Context, item event.Item) error {
	msg, ok, err := m.Write(ctx, item)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if !ok {
		return nil
	}
	return m.withinBudget(ctx, item, msg)
}

// letter is the templates' view.
type letter struct {
	User, Record, Changes map[string]any
	// Link is the link for the reader, "" for none.
	Link string
	Logo string
	// Site is the setting domain, Sender the name that mails come from.
	Site, Sender string
	// Device names in our own words the claim of the record's user agent, which its
	// sender chose: a text that clients make links of has no place in a mail.
	Device string
}

// Write makes the mail of an item; ok is false when no rule wants it. It fails for good
// (event.ErrPermanent), or as Users do.
func (m *Mailer) Write(ctx context.Context, item event.Item) (msg Message, ok bool, err error) {
	if rule, ok := m.rules.mail(item.Name); ok {
		data, lang, err := m.foreignLetter(ctx, item)
		if err != nil {
			return msg, false, err
		}
		return m.fill(item, rule.Rule, lang, data)
	}
	if item.Category() == Category {
		return msg, false, permanent("mailer.yml has the entry no more that it was kept for")
	}
	rule, ok := m.rules.rule(item.Event)
	if !ok {
		return msg, false, nil
	}
	data := letter{Logo: m.cfg.Logo, Sender: m.cfg.FromName}
	if err := json.Unmarshal(item.Record, &data.Record); err != nil {
		return msg, false, permanent("its record is not an object")
	}
	if item.Changes != nil {
		if err := json.Unmarshal(item.Changes, &data.Changes); err != nil {
			return msg, false, permanent("its changes are not an object")
		}
	}
	data.User, _ = data.Record["user"].(map[string]any)
	if data.User == nil {
		data.User = data.Record // events of users themselves
	}
	data.Site, _ = data.Record["domain"].(string)
	if agent, ok := data.Record["user_agent"].(string); ok {
		data.Device = session.Device(agent)
	}
	return m.fill(item, rule, item.Language, data)
}

// fill fills the templates of a rule in.
func (m *Mailer) fill(item event.Item, rule Rule, lang string, data letter) (msg Message, ok bool, err error) {
	to, _ := data.User["email"].(string)
	if to == "" || strings.ContainsAny(to, "\r\n") {
		return msg, false, permanent("it names no address")
	}
	lang, t := m.template(rule, lang)
	data.Link = link(item.Name, data, lang)
	if late := m.now().Sub(item.CreatedAt); data.Link != "" && m.cfg.LinkLife > 0 && late >= m.cfg.LinkLife {
		return msg, false, permanent("its link is over")
	}
	msg = Message{
		ID: fmt.Sprintf("barong.%d.%d", item.CreatedAt.UnixMicro(), item.ID), Event: item.Name,
		From: mail.Address{Name: m.cfg.FromName, Address: m.cfg.From}, To: to,
		Subject: t.Subject, Language: lang, Link: data.Link,
	}
	p := m.pages[t.Path+"."+lang]
	if p.text != nil {
		if msg.Text, err = render(p.text.Execute, data); err != nil {
			return msg, false, err
		}
	}
	if p.html != nil {
		if msg.HTML, err = render(p.html.Execute, data); err != nil {
			return msg, false, err
		}
	}
	return msg, true, nil
}

// permanent is an error of an item that will never be a mail.
func permanent(why string) error { return fmt.Errorf("%w: %s", event.ErrPermanent, why) }

func render(execute func(io.Writer, any) error, data letter) (string, error) {
	var b bytes.Buffer
	if err := execute(&b, data); err != nil {
		return "", fmt.Errorf("%w: fill in template: %w", event.ErrPermanent, err)
	}
	return b.String(), nil
}

// template picks the language: the event's, the default one, English, else the first there is
// (W-I22: a mail is never dropped for its language).
func (m *Mailer) template(r Rule, lang string) (string, Template) {
	for _, l := range []string{strings.ToLower(lang), m.cfg.DefaultLanguage, "en"} {
		if t, ok := r.Templates[l]; ok {
			return l, t
		}
	}
	first := ""
	for l := range r.Templates {
		if first == "" || l < first {
			first = l
		}
	}
	return first, r.Templates[first]
}

// link is the link for the reader of an event's mail.
func link(name string, data letter, lang string) string {
	page, param := "", ""
	switch name {
	case event.ConfirmationTokenName:
		page, param = "/accounts/confirmation", "confirmation_token"
	case event.ResetTokenName:
		page, param = "/accounts/password_reset", "reset_token"
	default:
		return ""
	}
	token, _ := data.Record["token"].(string)
	if token == "" || data.Site == "" {
		return ""
	}
	site := data.Site
	if !strings.Contains(site, "://") {
		site = "https://" + site
	}
	return strings.TrimRight(site, "/") + page + "?" + param + "=" + url.QueryEscape(token) + "&lang=" + lang
}
