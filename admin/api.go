package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/caller"
	"barong/internal/feed"
	"barong/internal/invalid"
	"barong/internal/rest"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
)

// API is the admin namespace.
type API struct {
	Users      caller.Users
	Tokens     caller.Verifier
	Policy     Policy
	Activities Activities
	Accounts   Accounts
	Explain    Explainer
	// Record keeps the activity of a change that was refused; those of changes that were made
	// are written with them. It never blocks; audit.Writer's does.
	Record func(audit.Activity) bool
	// Abilities are the rights of roles here.
	Abilities ability.Set
	// ClientIP is the caller's address, as decisions see it.
	ClientIP func(*http.Request) netip.Addr
	// Country names an address's country for activities; nil when nothing knows.
	Country func(netip.Addr) string
	Now     func() time.Time
	// Patience bounds the wait for a policy version; 0 means 2 s.
	Patience time.Duration
}

// Policy is this package's part of editor.Service.
type Policy interface {
	permissions
	restrictions
	// MatchingPermissions lists the rows that a verdict rests on.
	MatchingPermissions(ctx context.Context, role, method, path string) ([]policy.Permission, error)
	// Version is that of the snapshot in force; Await waits for one, editor.ErrBehind.
	Version() feed.Cursor
	Await(ctx context.Context, version feed.Cursor, atMost time.Duration) error
}

// Activities reads activities; store.DB is one.
type Activities interface {
	audit.Journal
	// UsersByUID loads the users among uids, by uid; those that are not there are left out.
	UsersByUID(ctx context.Context, uids []string) (map[string]account.User, error)
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	g := s.Group("admin")
	a.abilities(g.At("/abilities", "ability"))
	a.permissions(g.At("/permissions", "permission"))
	a.restrictions(g.At("/restrictions", "restriction"))
	a.activities(g.At("/activities", "activity"))
	a.explain(g.At("/explain", "explain"))
	a.users(g.At("/users", "user"))
}

// staff is the caller of an endpoint.
type staff struct {
	account.User
	account.Actor
	method, path string // of the request, for activities
}

// A need is an ability that an endpoint demands.
type need struct {
	action  ability.Action
	subject string
}

const versionHeader = "X-Policy-Version"

var (
	errNotPermitted = errors.New("admin: the role lacks the ability")
	errBadVersion   = errors.New("admin: not a policy version")
)

// may admits users with a bearer token whose role has all the abilities; with none, every
// user. It looks before the parameters do (admin 2.1).
func may[I, O any](a *API, f func(context.Context, staff, I) (O, error), needs ...need) rest.Handler[I, O] {
	failures := []rest.Failure{
		rest.On(caller.ErrNoToken, http.StatusUnauthorized, "jwt.decode_and_verify"),
		rest.On(caller.ErrNotActive, http.StatusUnauthorized, "authz.user_not_active"),
		rest.On(caller.ErrUnproved, http.StatusForbidden, "authz.email_not_verified"),
		rest.On(account.ErrNotFound, http.StatusNotFound, "record.not_found"),
		rest.On(errBadVersion, http.StatusBadRequest, "admin.policy_version.invalid"),
		rest.On(editor.ErrBehind, http.StatusServiceUnavailable, "admin.policy_version.not_reached").
			After(func(error) time.Duration { return time.Second }),
		rest.On(editor.ErrLost, http.StatusConflict, "admin.policy_version.lost"),
	}
	changes := slices.ContainsFunc(needs, func(n need) bool { return n.action != ability.Read })
	if len(needs) > 0 {
		failures = append(failures,
			rest.On(errNotPermitted, http.StatusUnauthorized, "admin.ability.not_permitted"))
	}
	return rest.Guarded(rest.Guard[staff]{
		Admit:     func(r *http.Request) (staff, error) { return a.admit(r, needs) },
		Principal: func(who staff) string { return who.Actor.UID },
		Done: func(ctx context.Context, who staff, in any, err error) {
			switch {
			case !changes || err == nil:
			case errors.Is(err, errNotPermitted):
				a.refused(ctx, who, audit.Denied, nil)
			case in != nil:
				a.refused(ctx, who, audit.Failed, rest.Values(in))
			}
		},
		Failures: failures,
		Schemes: []rest.Scheme{{Name: "bearer", Type: "http", Scheme: "bearer",
			Description: "What the gateway makes of a session cookie or a signed request."}},
	}, f)
}

// refused keeps that a change was not made: the gate, which writes about components that one
// was let through, leaves Barong's own to the endpoints, which know their outcome.
func (a *API) refused(ctx context.Context, who staff, result string, sent url.Values) {
	row := audit.Activity{
		ActorUID: who.User.UID, ActorKind: string(account.KindUser), ActorRef: who.User.UID,
		Category: audit.CategoryAdmin, IPCountry: who.Country, UserAgent: who.UserAgent,
		Topic: audit.TopicOf(who.path), Action: audit.ActionOf(who.method), Result: result, CreatedAt: a.Now(),
	}
	if who.IP.IsValid() {
		row.IP = who.IP.Unmap().String()
	}
	var target string
	row.Data, target = audit.Mask(audit.Params{Query: sent.Encode(), UserAgent: who.UserAgent}, who.path,
		"request_id", rest.RequestID(ctx))
	if target != "" {
		// An unknown uid stays in the data only.
		if known, err := a.Activities.UsersByUID(ctx, []string{target}); err == nil && len(known) == 1 {
			row.TargetUID = target
		}
	}
	if a.Record != nil {
		a.Record(row)
	}
}

func (a *API) admit(r *http.Request, needs []need) (staff, error) {
	u, actor, err := caller.Desk{
		Users: a.Users, Tokens: a.Tokens, ClientIP: a.ClientIP, Country: a.Country, Now: a.Now,
	}.SignedIn(r)
	if err != nil {
		return staff{}, err
	}
	who := staff{User: u, Actor: actor, method: r.Method, path: "api/v2/barong" + ownPath(r)}
	for _, n := range needs {
		if !a.Abilities.Can(u.Role, n.action, n.subject) {
			return who, errNotPermitted
		}
	}
	return who, a.await(r)
}

// ownPath is r's path from this namespace on, whatever prefix it was mounted under.
func ownPath(r *http.Request) string {
	if i := strings.Index(r.URL.Path, "/admin/"); i >= 0 {
		return r.URL.Path[i:]
	}
	return r.URL.Path
}

// await waits for the version that r asks for in X-Policy-Version, as a write has answered it
// or after "min_version=", so that a writer sees the change in effect on this replica, too.
func (a *API) await(r *http.Request) error {
	text := r.Header.Get(versionHeader)
	if text == "" {
		return nil
	}
	version, err := feed.ParseCursor(strings.TrimPrefix(text, "min_version="))
	if err != nil {
		return errBadVersion
	}
	patience := a.Patience
	if patience == 0 {
		patience = 2 * time.Second
	}
	return a.Policy.Await(r.Context(), version, patience)
}

// policyVersion is the header of writes.
type policyVersion struct {
	Version string `header:"X-Policy-Version" doc:"The policy version that includes the change: its number and its name, to be taken as they are. Sent back in the same header, a request waits for it."`
}

// done answers a write without a body.
func done(version feed.Cursor, err error) (rest.Also[rest.None, policyVersion], error) {
	if err != nil {
		return rest.Also[rest.None, policyVersion]{}, err
	}
	return rest.Also[rest.None, policyVersion]{Headers: policyVersion{version.String()}}, nil
}

// condition are the parameters of writes beside the row: the version that the caller has seen and
// whether to go on against its own interest.
type condition struct {
	IfMatch *string `name:"If-Match" in:"header" doc:"The lock_version that the row must have; * is any."`
	Force   bool    `name:"force" doc:"Go on although it locks you out; superadmins only."`
}

var errIfMatch = errors.New("admin: If-Match is no list of lock versions")

// edit makes the service's condition of the client's parameters. Entity tags are lock versions,
// quoted as RFC 9110 has them, or bare; weak ones never match (section 13.1.1).
func (c condition) edit(who staff) (editor.Edit, error) {
	e := editor.Edit{By: who.Actor, Force: c.Force}
	if c.IfMatch == nil || strings.TrimSpace(*c.IfMatch) == "*" {
		return e, nil
	}
	e.Seen = []int64{}
	for tag := range strings.SplitSeq(*c.IfMatch, ",") {
		tag = strings.TrimSpace(tag)
		weak := strings.HasPrefix(tag, "W/")
		tag = strings.TrimPrefix(tag, "W/")
		if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
			tag = tag[1 : len(tag)-1]
		}
		version, err := strconv.ParseInt(tag, 10, 64)
		if err != nil {
			return e, errIfMatch
		}
		if !weak {
			e.Seen = append(e.Seen, version)
		}
	}
	return e, nil
}

// tokens puts the problems of a row into the client's words: "<field>.<rule>", or the entry of
// named for that. Other errors stay.
func tokens(err error, named map[string]string) error {
	if bad, ok := errors.AsType[invalid.Fields](err); ok {
		return bad.Named(named)
	}
	return err
}
