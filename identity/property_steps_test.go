package identity_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/expect"
	"barong/internal/session"
	"barong/internal/token"
)

// The steps of TestNoSequenceOpensWhatIsClosed, and the consequences of each.

func (m *model) signUp(t *rapid.T) {
	email, pw := m.email(t), rapid.SampledFrom(chosen).Draw(t, "password")
	free := m.free(email, nil)
	p := &person{email: email, password: pw, role: account.RoleMember, labels: map[string]string{}, unproved: true}
	if free {
		m.people = append(m.people, p) // before the answer, so that the link finds its owner
	}
	a, with := m.post(t, "users", body{"email": email, "password": pw})
	m.judge(t, a, with, free, p)
}

func (m *model) askConfirmation(t *rapid.T) {
	email := m.email(t)
	p, before := m.byEmail(email), len(m.links)
	a, _ := m.post(t, "users/email/generate_code", body{"email": email})
	m.mailed(t, a, len(m.links)-before, p != nil && p.state() == account.StatePending)
}

func (m *model) askReset(t *rapid.T) {
	email := m.email(t)
	p, before := m.byEmail(email), len(m.links)
	a, _ := m.post(t, "users/password/generate_code", body{"email": email})
	m.mailed(t, a, len(m.links)-before, p != nil && p.mayAct())
	live := 0
	for _, l := range slices.Backward(m.links) {
		if p == nil || l.of != p || l.purpose != token.Reset || l.void {
			continue
		}
		if live++; live > 3 { // the newest three work
			l.void = true
		}
	}
}

func (m *model) mailed(t *rapid.T, a answer, links int, want bool) {
	if a.status != http.StatusCreated || a.body != "201" || (links == 1) != want || links > 1 {
		t.Fatalf("answered %d %s with %d mails; want 201 and a mail: %v", a.status, a.body, links, want)
	}
}

// paper draws a text to present as a mailed link: any that there ever was; one with the id of
// another for another purpose or account; or another kind of token.
func (m *model) paper(t *rapid.T) *link {
	from := m.links
	if rapid.IntRange(0, 2).Draw(t, "newest") > 0 {
		from = from[max(0, len(from)-3):]
	}
	l := rapid.SampledFrom(from).Draw(t, "link")
	switch kind := rapid.SampledFrom([]string{"as mailed", "as mailed", "as mailed", "crossed", "bearer", "cookie"}).Draw(t, "kind"); {
	case kind == "bearer" && len(m.bearers) > 0:
		return &link{jwt: strings.TrimPrefix(rapid.SampledFrom(m.bearers).Draw(t, "bearer"), "Bearer ")}
	case kind == "cookie" && len(m.sessions) > 0:
		return &link{jwt: rapid.SampledFrom(m.sessions).Draw(t, "cookie").cookie}
	case kind == "crossed" && l.of != nil && m.Now.Before(l.expires):
		c, err := m.Keys.VerifyMail(l.jwt, l.purpose, m.Now)
		if err != nil {
			t.Fatal(err)
		}
		p := rapid.SampledFrom(m.people).Draw(t, "for")
		other := token.MailClaims{
			Purpose: rapid.SampledFrom([]string{token.Confirmation, token.Reset}).Draw(t, "purpose"),
			UID:     p.uid, Email: rapid.SampledFrom(m.emails).Draw(t, "address"), ID: c.ID, Expires: c.Expires,
		}
		if other == c {
			return l
		}
		jwt, err := m.Keys.MintMail(other, m.Now)
		if err != nil {
			t.Fatal(err)
		}
		return &link{jwt: jwt, purpose: other.Purpose}
	}
	return l
}

// works reports whether l is good for the purpose now.
func (m *model) works(l *link, purpose string) bool {
	return l.of != nil && l.purpose == purpose && !l.void && m.Now.Before(l.expires) && l.of.email == l.email
}

func (m *model) confirm(t *rapid.T) {
	l := m.paper(t)
	good := m.works(l, token.Confirmation) && l.of.state() == account.StatePending
	if good { // before the answer: the link that it mails works
		m.void(l.of, token.Confirmation)
		m.prove(l.of, "") // no browser here knows the account
	}
	a, with := m.post(t, "users/email/confirm_code", body{"token": l.jwt})
	if (a.status == http.StatusCreated) != good {
		t.Fatalf("answered %d %s; want it confirmed: %v", a.status, a.body, good)
	}
	if !good {
		m.judge(t, a, with, false, nil)
		return
	}
	m.judge(t, a, with, l.of.mayAct() && l.of.secret == "", l.of)
}

func (m *model) reset(t *rapid.T) {
	l, pw := m.paper(t), rapid.SampledFrom(append([]string{"weak"}, chosen...)).Draw(t, "password")
	good := m.works(l, token.Reset) && l.of.mayAct() && pw != "weak"
	a, with := m.post(t, "users/password/confirm_code",
		body{"reset_password_token": l.jwt, "password": pw, "confirm_password": pw})
	if (a.status == http.StatusCreated) != good {
		t.Fatalf("answered %d %s; want it reset: %v", a.status, a.body, good)
	}
	m.judge(t, a, with, false, nil)
	if good {
		if l.of.password = pw; l.of.unproved {
			m.prove(l.of, pw)
		}
		m.void(l.of, token.Reset)
		m.end(l.of, nil)
	}
}

func (m *model) signIn(t *rapid.T) {
	email := m.email(t)
	p := m.byEmail(email)
	pw := rapid.SampledFrom(append([]string{"right", "right", "right"}, chosen...)).Draw(t, "password")
	if pw == "right" && p != nil && p.password != "" {
		pw = p.password
	}
	code, fresh, step := m.code(t, p)
	good := p != nil && p.password == pw && p.mayAct() && (p.secret == "" || fresh)
	a, with := m.post(t, "sessions", body{"email": email, "password": pw, "otp_code": code})
	m.judge(t, a, with, good, p)
	if good && p.secret != "" {
		p.used(code, step)
	}
}

func (m *model) auth0(t *rapid.T) {
	email := m.email(t)
	p := m.byEmail(email)
	verified := rapid.SampledFrom([]*bool{new(true), new(true), new(true), new(false), nil}).Draw(t, "verified")
	m.world.auth0.claims = token.IDClaims{
		Email:         rapid.SampledFrom([]string{email, email, " " + strings.ToUpper(email), ""}).Draw(t, "claim"),
		EmailVerified: verified, ExpiresAt: m.Now.Add(time.Hour),
	}
	vouched := m.world.auth0.claims.Email != "" && verified != nil && *verified
	code, fresh, step := m.code(t, p)
	asked := p != nil && p.secret != "" && !p.awaits()
	good := vouched && (p == nil || p.mayAct() && (!asked || fresh))
	if good {
		switch {
		case p == nil:
			p = &person{email: email, role: account.RoleMember, labels: map[string]string{"email": "verified"}}
			m.people = append(m.people, p)
		case p.labels["email"] != "verified":
			m.prove(p, "")
		}
		if asked {
			p.used(code, step)
		}
	}
	a, with := m.post(t, "sessions/auth0", body{"id_token": "good", "otp_code": code})
	m.judge(t, a, with, good, p)
}

// restamp moves o to its user's new generation, as endpoints do that change how one signs in.
func (m *model) restamp(o *opened, generation int64) {
	id, _ := session.IDOf(o.cookie)
	cookie := session.NewCookie()
	_, err := m.world.Sessions.Restamp(m.T.Context(), id, cookie, generation, m.Now)
	expect.OK(m.T, err)
	old := *o
	old.over = true
	m.sessions = append(m.sessions, &old)
	o.cookie, o.lastUsed = cookie, m.Now
	m.end(o.of, o)
}

func (p *person) actor() account.Actor { return account.Actor{UID: p.uid, Role: p.role} }

func (m *model) secondFactorOn(t *rapid.T) {
	if o := m.signedIn(t); o != nil {
		m.secondFactor(t, o, m.code)
	}
}

// secondFactor switches it on in the session, proved by a code.
func (m *model) secondFactor(
	t *rapid.T, o *opened, pick func(*rapid.T, *person) (code string, good bool, step int64),
) {
	p := o.of
	setup, err := m.Accounts.OTPSecret(m.T.Context(), p.actor())
	if (err == nil) != (p.secret == "") {
		t.Fatalf("a secret for codes: %v", err)
	}
	if err != nil {
		return
	}
	p.secret, p.step, p.codes = setup.Secret, 0, nil
	code, good, step := pick(t, p)
	generation, err := m.Accounts.EnableOTP(m.T.Context(), p.actor(), code)
	if (err == nil) != good {
		t.Fatalf("switched on: %v; want %v", err, good)
	}
	if err != nil {
		p.secret = ""
		return
	}
	p.used(code, step)
	m.restamp(o, generation)
}

func (m *model) secondFactorOff(t *rapid.T) {
	o := m.signedIn(t)
	if o == nil {
		return
	}
	p := o.of
	code, good, _ := m.code(t, p)
	generation, err := m.Accounts.DisableOTP(m.T.Context(), p.actor(), code)
	if (err == nil) != (good && p.secret != "") {
		t.Fatalf("switched off: %v; want %v", err, good)
	}
	if err == nil {
		p.secret = ""
		m.restamp(o, generation)
	}
}

func (m *model) stateByStaff(t *rapid.T) {
	p := m.anyone(t)
	state := rapid.SampledFrom([]string{"active", "active", "pending", "banned", "locked", "deleted"}).Draw(t, "state")
	byStaff := state
	if account.MayAct(state) && p.given() == state || state == account.StateActive && !account.MayAct(p.given()) {
		byStaff = ""
	}
	same := p.state() == state && (account.MayAct(state) || p.byStaff == state)
	restored := p.deleted() && effective(byStaff, p.given()) != account.StateDeleted
	good := !same && (!restored || m.free(p.email, p))
	if _, err := m.Accounts.SetState(m.T.Context(), m.staff, p.uid, state); (err == nil) != good {
		t.Fatalf("from %s to %s: %v", p.state(), state, err)
	}
	if !good {
		return
	}
	m.change(p, func() { p.byStaff = byStaff })
}

func (m *model) secondFactorOffByStaff(t *rapid.T) {
	p := m.anyone(t)
	if err := m.Accounts.SwitchOffOTP(m.T.Context(), m.staff, p.uid); (err == nil) != (p.secret != "") {
		t.Fatalf("switched off: %v", err)
	}
	if p.secret != "" {
		p.secret = ""
		m.end(p, nil)
	}
}

func (m *model) emailByStaff(t *rapid.T) {
	p, email := m.anyone(t), m.email(t)
	good := p.email != email && (p.deleted() || m.free(email, p))
	if err := m.Accounts.SetEmail(m.T.Context(), m.staff, p.uid, email); (err == nil) != good {
		t.Fatalf("to %s: %v", email, err)
	}
	if good {
		p.email = email
		m.void(p, "")
		m.end(p, nil)
	}
}

func (m *model) roleByStaff(t *rapid.T) {
	p := m.anyone(t)
	role := rapid.SampledFrom([]string{account.RoleMember, otherRole}).Draw(t, "role")
	if err := m.Accounts.SetRole(m.T.Context(), m.staff, p.uid, role); (err == nil) != (p.role != role) {
		t.Fatalf("from %s to %s: %v", p.role, role, err)
	}
	if p.role != role {
		p.role = role
		m.end(p, nil)
	}
}

func (m *model) label(t *rapid.T) {
	p := m.anyone(t)
	key := rapid.SampledFrom([]string{"email", "email", "ban", "lock", "delete"}).Draw(t, "key")
	value := rapid.SampledFrom([]string{"", "verified", "pending"}).Draw(t, "value")
	_, had := p.labels[key]
	next := *p
	if next.labels = maps.Clone(p.labels); value == "" {
		delete(next.labels, key)
	} else {
		next.labels[key] = value
	}
	good := !p.deleted() || next.deleted() || m.free(p.email, p)
	var err error
	switch {
	case value != "":
		_, err = m.Accounts.SetLabel(m.T.Context(), worldtest.Peer, account.LabelInput{UserUID: p.uid, Key: key, Value: value, Scope: account.ScopePrivate})
	case had:
		err = m.Accounts.RemoveLabel(m.T.Context(), worldtest.Peer, p.uid, key, account.ScopePrivate)
	}
	if (err == nil) != good {
		t.Fatalf("%s: %q with %v: %v", key, value, p.labels, err)
	}
	if !good {
		return
	}
	m.change(p, func() {
		p.labels = next.labels
		p.unproved = p.unproved && p.labels["email"] != "verified"
	})
}

func (m *model) signOut(t *rapid.T) {
	if len(m.sessions) == 0 {
		t.Fatal("nobody was ever signed in: a sign-up opens a session")
	}
	o := rapid.SampledFrom(m.sessions).Draw(t, "session")
	a := m.ask(t, http.MethodDelete, "sessions", nil, o)
	// One that is over by time or with all others is known still: 204 too.
	if a.status != http.StatusNoContent && !(o.over && a.status == http.StatusNotFound) {
		t.Fatalf("answered %d %s; the session stood: %v", a.status, a.body, !o.over)
	}
	o.over = true
}

func (m *model) signOutEverywhere(t *rapid.T) {
	o := m.signedIn(t)
	if o == nil {
		return
	}
	generation, err := m.Accounts.SignOutEverywhere(m.T.Context(), o.of.actor())
	expect.OK(m.T, err)
	m.restamp(o, generation)
}

func (m *model) deleteSelf(t *rapid.T) {
	o := m.signedIn(t)
	if o == nil {
		return
	}
	p := o.of
	pw := rapid.SampledFrom(chosen).Draw(t, "password")
	code, fresh, step := m.code(t, p)
	good := p.password == pw && (p.secret == "" || fresh)
	if err := m.Accounts.DeleteAccount(m.T.Context(), p.actor(), pw, code); (err == nil) != good {
		t.Fatalf("deleted: %v; want %v", err, good)
	}
	if p.password == pw && p.secret != "" && fresh {
		p.used(code, step)
	}
	if !good {
		return
	}
	m.change(p, func() {
		if p.labels["delete"] = "by_user"; !p.deleted() {
			p.byStaff = account.StateDeleted
		}
	})
	m.void(p, "")
}

func (m *model) revoke(t *rapid.T) {
	p := m.anyone(t)
	if rapid.IntRange(0, 3).Draw(t, "everybody") > 0 {
		_, err := m.Accounts.RevokeSessions(m.T.Context(), account.Operator("sessions revoke"), p.uid)
		expect.OK(m.T, err)
		m.end(p, nil)
		return
	}
	_, err := m.Accounts.RevokeAllSessions(m.T.Context(), account.Operator("sessions revoke"))
	expect.OK(m.T, err)
	for _, p := range m.people {
		m.end(p, nil)
	}
}

func (m *model) wait(t *rapid.T) {
	m.Now = m.Now.Add(rapid.SampledFrom([]time.Duration{
		time.Second, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute, 10 * time.Minute, 29 * time.Minute,
		31 * time.Minute, time.Hour - time.Second, time.Hour, 25 * time.Hour,
	}).Draw(t, "for"))
}

// holds asks the decision about every session there ever was, and the database about everybody.
func (m *model) holds(t *rapid.T) {
	expect.OK(m.T, m.feed.Sync(m.T.Context()))
	for _, o := range m.sessions {
		if !m.Now.Before(o.lastUsed.Add(30*time.Minute)) || !m.Now.Before(o.since.Add(24*time.Hour)) {
			o.over = true
		}
		r := httptest.NewRequest(http.MethodGet, "/api/v2/auth/api/v2/peatio/market/orders", nil)
		r.RemoteAddr = m.IP.String() + ":40000"
		r.Header.Set("User-Agent", agent)
		r.AddCookie(&http.Cookie{Name: "_barong_session", Value: o.cookie})
		rec := httptest.NewRecorder()
		m.gate.ServeHTTP(rec, r)
		awaits := !o.over && o.of.awaits()
		if allowed := rec.Code == http.StatusOK; allowed != (!o.over && !awaits) || (rec.Code == http.StatusForbidden) != awaits {
			t.Fatalf("a session of %s, who is %s: %d %s; want it allowed: %v, unproved: %v",
				o.of.uid, o.of.state(), rec.Code, rec.Body, !o.over, awaits)
		}
		if !o.over {
			o.lastUsed = m.Now
		}
		if rec.Code == http.StatusOK {
			m.bearers = []string{rec.Header().Get("Authorization")}
		}
	}
	for _, p := range m.people {
		u, err := m.DB.User(m.T.Context(), p.uid)
		expect.OK(m.T, err)
		if u.State != p.state() || u.OTP != (p.secret != "") || u.Email != p.email || u.Role != p.role {
			t.Fatalf("%s is %s, %s, second factor %v; want %s, %s, %v (labels %v)", u.UID, u.State, u.Role, u.OTP,
				p.state(), p.role, p.secret != "", p.labels)
		}
	}
}
