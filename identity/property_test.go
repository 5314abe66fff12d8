package identity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"pgregory.net/rapid"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/directory"
	"barong/internal/expect"
	"barong/internal/feed"
	"barong/internal/token"
)

// Whatever is asked in whatever order: a session is given to nobody whose account may not act,
// and to nobody without the second factor that is on; a mailed link works once, in its time,
// for its purpose and its account as it was; and a session that was to end is refused.
//
// The endpoints run over the services and the decision that production wires, with every
// limiter off. A model knows after each step the people to let in and the sessions that stand.
func TestNoSequenceOpensWhatIsClosed(t *testing.T) {
	town := newTown(t)
	rapid.Check(t, func(t *rapid.T) {
		m := town.founded(t)
		t.Repeat(map[string]func(*rapid.T){
			"sign up": m.signUp, "sign in": m.signIn, "sign in once more": m.signIn, "auth0": m.auth0,
			"ask for a confirmation": m.askConfirmation, "confirm": m.confirm, "confirm again": m.confirm,
			"ask for a reset": m.askReset, "reset": m.reset, "reset again": m.reset,
			"second factor on": m.secondFactorOn, "second factor off": m.secondFactorOff,
			"state by staff": m.stateByStaff, "second factor off by staff": m.secondFactorOffByStaff,
			"e-mail by staff": m.emailByStaff, "role by staff": m.roleByStaff, "label": m.label,
			"sign out": m.signOut, "sign out everywhere": m.signOutEverywhere, "revoke": m.revoke, "delete": m.deleteSelf,
			"wait": m.wait,
			"":     m.holds,
		})
	})
}

// town is the common part of all runs of the property: the service, and one superadmin.
type town struct {
	*world
	rest    http.Handler
	gate    http.Handler
	feed    *feed.Follower
	minter  *token.Minter
	staff   account.Actor
	foreign string // a mail token of another installation
	founds  int
}

const otherRole = "support"

func newTown(t *testing.T) *town {
	t.Helper()
	w := newWorld(t)
	clock := func() time.Time { return w.Now }
	w.Allow(otherRole, account.RoleSuperadmin)
	w.Refresh()
	w.Account.Mail, w.Account.Unlimited = w.Keys, true
	w.Restart()
	w.Identity.Auth0 = &w.auth0
	boss, err := w.Accounts.CreateUser(t.Context(), account.UserInput{
		Email: "boss@example.com", Password: password, Role: account.RoleSuperadmin, Level: 1, Operator: true,
	})
	expect.OK(w.T, err)

	town := &town{world: w, rest: w.Mount(), staff: account.Actor{UID: boss.UID, Role: boss.Role}}
	head, err := w.DB.Head(t.Context())
	expect.OK(w.T, err)
	s := config.Default()
	directory := expect.Must(directory.New(configured.Directory(s), w.DB, clock))(t)
	keyCache := expect.Must(apikey.NewCache(configured.APIKeys(s), w.DB, clock))(t)
	town.feed = feed.NewFollower(w.DB, feed.FollowerConfig{}, clock, nil)
	town.feed.Subscribe(w.Sessions.Apply)
	town.feed.Subscribe(directory.Apply)
	town.feed.Subscribe(keyCache.Apply)
	town.feed.Start(head)
	town.minter, err = token.NewMinter(w.Keys, configured.Tokens(s))
	expect.OK(w.T, err)
	decisions := configured.Decisions(s)
	decisions.PolicyMaxStale = 1 << 60 // nothing changes it
	decider, err := authz.New(authz.Parts{
		Rules: w.Holder, Feed: town.feed, Sessions: w.Sessions, Accounts: directory, Keys: keyCache, Tokens: town.minter,
		Activities: unwritten{}, Now: clock,
	}, decisions)
	expect.OK(w.T, err)
	town.gate = decider.Forward()

	keys := configured.Keys(s)
	keys.Algorithm = token.EdDSA
	elsewhere, err := token.OpenKeys(t.Context(), newWorld(t).DB, keys, clock)
	expect.OK(w.T, err)
	town.foreign, err = elsewhere.MintMail(token.MailClaims{
		Purpose: token.Reset, UID: boss.UID, Email: boss.Email, ID: strings.Repeat("0", 20),
	}, w.Now)
	expect.OK(w.T, err)
	return town
}

type unwritten struct{}

func (unwritten) Record(audit.Activity) bool { return true }
func (unwritten) Fold(string, string) bool   { return false }

// model is the right outcome of one run: people, their sessions, and their mails.
type model struct {
	*town
	emails   []string
	people   []*person
	sessions []*opened
	links    []*link
	bearers  []string
}

// person is one account. Labels and staff give the state.
type person struct {
	uid, email, role string
	password         string // "" when nobody knows it
	labels           map[string]string
	byStaff          string // the state that staff gave, "" for none
	unproved         bool   // signed up, and nobody has proved the address since
	secret           string // of the second factor, "" when it is off
	step             int64  // of the newest accepted code
	codes            []string
}

func (p *person) state() string {
	return effective(p.byStaff, p.given())
}

// effective is the more restrictive of the states by staff and by labels (W-I17).
func effective(byStaff, given string) string {
	order := []string{account.StateActive, account.StatePending, account.StateBanned, account.StateLocked, account.StateDeleted}
	if byStaff == account.StateActive && given == account.StatePending || slices.Index(order, byStaff) > slices.Index(order, given) {
		return byStaff
	}
	return given
}

// given is the state that the labels give.
func (p *person) given() string {
	switch {
	case p.labels["lock"] != "":
		return account.StateLocked
	case p.labels["delete"] != "":
		return account.StateDeleted
	case p.labels["ban"] != "":
		return account.StateBanned
	case p.labels["email"] == "verified":
		return account.StateActive
	}
	return account.StatePending
}

// awaits reports whether all that p may do is to prove the address.
func (p *person) awaits() bool { return p.unproved && p.state() == account.StatePending }

// prove is the proof of p's address: a stranger's leftovers go with the first (D27).
func (m *model) prove(p *person, password string) {
	if p.unproved {
		if p.password = password; p.awaits() {
			p.secret = ""
		}
		m.void(p, "")
	}
	p.labels["email"], p.unproved = "verified", false
	m.end(p, nil)
}

func (p *person) mayAct() bool { return account.MayAct(p.state()) }

// opened is a session that somebody was given.
type opened struct {
	of              *person
	cookie          string
	since, lastUsed time.Time
	over            bool
}

// link is a mailed link, or one made up to look like it.
type link struct {
	of             *person // nil for one that must never work
	purpose, email string
	jwt            string
	expires        time.Time
	void           bool
}

// founded begins a run with addresses that nobody has.
func (w *town) founded(t *rapid.T) *model {
	w.founds++
	w.News()
	m := &model{town: w}
	for n := range 3 {
		m.emails = append(m.emails, fmt.Sprintf("p%d-%d@example.com", w.founds, n))
	}
	m.links = append(m.links, &link{jwt: w.foreign, purpose: token.Reset}, &link{jwt: "a.b.c"})
	for range 2 {
		m.signUp(t)
	}
	for n := range m.sessions {
		if o := m.sessions[n]; !o.over && rapid.Bool().Draw(t, "second factor") {
			m.secondFactor(t, o, m.rightCode)
		}
	}
	return m
}

// byEmail is the person with an address: the one that is not deleted, else the newest.
func (m *model) byEmail(email string) (found *person) {
	for _, p := range m.people {
		if p.email == email && (found == nil || found.deleted()) {
			found = p
		}
	}
	return found
}

// free reports whether p, nil for somebody new, may have an address and not be deleted.
func (m *model) free(email string, p *person) bool {
	holder := m.byEmail(email)
	return holder == nil || holder == p || holder.deleted()
}

func (p *person) deleted() bool { return p.state() == account.StateDeleted }

// anyone draws a person; there must be one.
func (m *model) anyone(t *rapid.T) *person {
	if len(m.people) == 0 {
		t.Fatal("nobody has signed up: founded has two do so")
	}
	return rapid.SampledFrom(m.people).Draw(t, "person")
}

// signedIn draws a session that stands, nil when there is none.
func (m *model) signedIn(t *rapid.T) *opened {
	standing := slices.DeleteFunc(slices.Clone(m.sessions), func(o *opened) bool { return o.over })
	if len(standing) == 0 {
		return nil
	}
	return rapid.SampledFrom(standing).Draw(t, "session")
}

func (m *model) email(t *rapid.T) string { return rapid.SampledFrom(m.emails).Draw(t, "e-mail") }

var chosen = []string{"Tecohvi0", "Quooph7ei", "Zaem3ohgh"}

// code draws a one-time code for p: of now, one that was used, one of long ago, or none, and
// says whether it must be accepted.
func (m *model) code(t *rapid.T, p *person) (code string, good bool, step int64) {
	kind := rapid.SampledFrom([]string{"right", "right", "right", "right", "used", "used", "old", "none", "blank", "letters"}).Draw(t, "code")
	if p == nil || p.secret == "" {
		return map[string]string{"right": "123456", "letters": "abcdef"}[kind], false, 0
	}
	at := func(now time.Time) string { return p.code(t, now) }
	switch kind {
	case "right":
		code = at(m.Now)
	case "used":
		if len(p.codes) > 0 {
			code = rapid.SampledFrom(p.codes).Draw(t, "which")
		}
	case "old":
		code = at(m.Now.Add(-time.Hour))
	case "blank":
		code = " "
	case "letters":
		code = "abcdef"
	}
	for s := int64(-1); s <= 1; s++ { // RFC 6238 §5.2: one step of skew
		if moment := m.Now.Add(time.Duration(s) * 30 * time.Second); code == at(moment) {
			step = moment.Unix() / 30
		}
	}
	return code, step > p.step, step
}

// code is that of p's authenticator app.
func (p *person) code(t *rapid.T, now time.Time) string {
	c, err := totp.GenerateCode(p.secret, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m *model) rightCode(t *rapid.T, p *person) (code string, good bool, step int64) {
	return p.code(t, m.Now), true, m.Now.Unix() / 30
}

// used notes that a code of p was accepted.
func (p *person) used(code string, step int64) { p.step, p.codes = step, append(p.codes, code) }

// post asks an identity endpoint, perhaps from a browser that holds a session.
func (m *model) post(t *rapid.T, path string, in body) (a answer, with *opened) {
	if len(m.sessions) > 0 && rapid.IntRange(0, 3).Draw(t, "with a cookie") == 0 {
		with = rapid.SampledFrom(m.sessions).Draw(t, "whose")
	}
	return m.ask(t, http.MethodPost, path, in, with), with
}

type answer struct {
	status int
	body   string
	cookie string
}

func (m *model) ask(t *rapid.T, method, path string, in body, with *opened) answer {
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "/api/v2/identity/"+path, strings.NewReader(string(text)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", agent)
	if with != nil {
		r.AddCookie(&http.Cookie{Name: "_barong_session", Value: with.cookie})
	}
	rec := httptest.NewRecorder()
	m.rest.ServeHTTP(rec, r)
	a := answer{status: rec.Code, body: rec.Body.String()}
	for _, c := range rec.Result().Cookies() {
		if c.Name == "_barong_session" {
			a.cookie = c.Value
		}
	}
	m.collect(t)
	return a
}

// collect takes in new people and mails.
func (m *model) collect(t *rapid.T) {
	for _, p := range m.people {
		if p.uid == "" {
			u, err := m.DB.UserByEmail(m.T.Context(), p.email)
			expect.OK(m.T, err)
			p.uid = u.UID
		}
	}
	for _, e := range m.News() {
		if !strings.HasSuffix(e.Name, ".token") {
			continue
		}
		l := &link{jwt: member(m.T, e, "token"), purpose: token.Confirmation}
		if strings.Contains(e.Name, "reset") {
			l.purpose = token.Reset
		}
		c, err := m.Keys.VerifyMail(l.jwt, l.purpose, m.Now)
		if err != nil {
			t.Fatalf("a link was mailed that does not verify: %v", err)
		}
		l.email, l.expires = c.Email, c.Expires
		if l.of = m.byEmail(c.Email); l.of == nil || l.of.uid != c.UID {
			t.Fatalf("a link for %s was mailed to %s", c.UID, c.Email)
		}
		if _, err := m.minter.Verify(l.jwt, m.Now); !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("a mail token as bearer token: %v, want ErrInvalid", err)
		}
		m.links = append(m.links, l)
	}
}

// judge holds an answer against whether it must open a session for p, and notes the session.
func (m *model) judge(t *rapid.T, a answer, with *opened, want bool, p *person) {
	if (a.cookie != "") != want || strings.Contains(a.body, "csrf_token") != want || want && a.status >= 300 {
		t.Fatalf("answered %d %s, opened a session: %v; want %v", a.status, a.body, a.cookie != "", want)
	}
	if !want {
		return
	}
	if with != nil {
		with.over = true // a session in its place (W-I6)
	}
	m.sessions = append(m.sessions, &opened{of: p, cookie: a.cookie, since: m.Now, lastUsed: m.Now})
}

// end ends the sessions of p but one.
func (m *model) end(p *person, but *opened) {
	for _, o := range m.sessions {
		if o.of == p && o != but {
			o.over = true
		}
	}
}

// void makes links of p useless; "" is every purpose.
func (m *model) void(p *person, purpose string) {
	for _, l := range m.links {
		if l.of == p && (purpose == "" || l.purpose == purpose) {
			l.void = true
		}
	}
}

// change lets a change of p have the consequences of a state that may not act.
func (m *model) change(p *person, change func()) {
	before := p.mayAct()
	change()
	if before && !p.mayAct() {
		m.end(p, nil)
		m.void(p, token.Reset)
	}
}
