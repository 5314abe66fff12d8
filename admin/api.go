package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/approval"
	"barong/internal/audit"
	"barong/internal/caller"
	"barong/internal/chronicle"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/roster"
	"barong/internal/session"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
)

// API is the admin namespace.
type API struct {
	caller.Resolver
	Policy     *editor.Service
	Activities chronicle.Reader
	Accounts   *account.Service
	Persons    *person.Service
	People     roster.Reader
	Sessions   *session.Manager
	Codes      *factor.Service
	Keys       *apikey.Service
	Requests   *approval.Service
	Explain    Explainer
	// Record keeps the activity of a change that was refused, or of a read of a person; those of
	// changes that were made are written with them. It never blocks; audit.Writer's does.
	Record func(audit.Activity) bool
	// Abilities are the rights of roles here.
	Abilities ability.Set
	// Require2FA refuses staff without a second factor.
	Require2FA bool
	// Patience bounds the wait for a policy version; 0 means 2 s.
	Patience time.Duration
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	g := rest.NewGroup(s, "admin", a.guard()).WithOptions()
	at := func(path, resource string, subjects ...string) section {
		return section{a, g.At(path, resource), subjects}
	}
	a.abilities(g.At("/abilities", "ability").Narrow(a.reached))
	a.permissions(at("/permissions", "permission", ability.SubjectPermission))
	a.restrictions(at("/restrictions", "restriction", ability.SubjectRestriction))
	a.activities(at("/activities", "activity", ability.SubjectActivity))
	a.explain(at("/explain", "explain", ability.SubjectPermission, ability.SubjectUser))
	a.users(at("/users", "user", ability.SubjectUser))
	a.people(at("/users", "user", ability.SubjectUser))
	a.sessions(at("/users", "user", ability.SubjectUser))
	a.comments(at("/users/comments", "comments", ability.SubjectUser))
	a.labels(at("/users/labels", "user", ability.SubjectLabel), at("/users/labels", "user", ability.SubjectUser))
	a.dataStorages(at("/users/data_storage", "user", ability.SubjectUser))
	a.profiles(at("/profiles", "profile", ability.SubjectProfile))
	a.levels(at("/levels", "level", ability.SubjectLevel))
	a.apiKeys(at("/api_keys", "apikey", ability.SubjectAPIKey))
	a.serviceAccounts(at("/service_accounts", "service_account", ability.SubjectUser))
	a.requests(at("/requests", "request", ability.SubjectRequest))
	a.metrics(at("/metrics", "metrics", ability.SubjectUser))
}

// staff is the caller of an endpoint.
type staff struct {
	account.User
	account.Actor
	method, path string // of the request, for activities
	changes      bool   // the endpoint changes something
}

const versionHeader = "X-Policy-Version"

var (
	errNotPermitted = errors.New("admin: the role lacks the ability")
	errBadVersion   = errors.New("admin: not a policy version")
	errNo2FA        = errors.New("admin: staff without a second factor")
)

// signedIn is SignedIn for staff: their own state is active, and where it is required they have
// one-time codes or a passkey. Members pass: they lack every ability. Errors: those of SignedIn, errNo2FA.
func (a *API) signedIn(r *http.Request) (account.User, account.Actor, error) {
	u, actor, err := a.SignedIn(r)
	if err != nil {
		return u, actor, err
	}
	if u.State != account.StateActive {
		return u, actor, caller.ErrNotActive
	}
	if u.OTP || !a.Require2FA || !slices.Contains(a.Abilities.Staff(), u.Role) {
		return u, actor, nil
	}
	has, err := a.Codes.HasPasskeys(r.Context(), u.UID)
	switch {
	case err != nil:
		return u, actor, fmt.Errorf("look for a second factor: %w", err)
	case !has:
		return u, actor, errNo2FA
	}
	return u, actor, nil
}

// guard admits users with a bearer token, before the parameters are looked at.
func (a *API) guard() rest.Guard[staff] {
	return rest.Guard[staff]{
		Admit: func(r *http.Request) (staff, error) {
			u, actor, err := a.signedIn(r)
			return staff{User: u, Actor: actor, method: r.Method, path: "api/v2/barong" + rest.Path(r)}, err
		},
		Principal: func(who staff) string { return who.Actor.UID },
		Changes:   limit.Staff,
		Done: func(ctx context.Context, who staff, in any, err error) {
			if _, waits := errors.AsType[account.Asked](err); waits {
				return // its activity is written with the request
			}
			switch {
			case !who.changes || err == nil:
			case errors.Is(err, errNotPermitted):
				a.note(ctx, who, audit.Denied, nil)
			case in != nil:
				a.note(ctx, who, audit.Failed, rest.Values(in))
			}
		},
		Refusals: rest.All(
			rest.On(caller.ErrNoToken, 401, "jwt.decode_and_verify"),
			rest.On(caller.ErrNotActive, 401, "authz.user_not_active"),
			rest.On(caller.ErrUnproved, 403, "authz.email_not_verified"),
			rest.On(errNo2FA, 403, "admin.second_factor.required"),
			rest.On(caller.ErrNoUser, 404, "record.not_found"),
			rest.On(errBadVersion, 400, "admin.policy_version.invalid"),
			rest.On(editor.ErrBehind, 503, "admin.policy_version.not_reached").After(),
			rest.On(editor.ErrLost, 409, "admin.policy_version.lost"),
		),
		Schemes: []rest.Scheme{{Name: "bearer", Type: "http", Scheme: "bearer",
			Description: "What the gateway makes of a session cookie or a signed request."}},
	}
}

// A section is the part of the namespace about some subjects of abilities. It mounts nothing but by
// may, so that no endpoint forgets to ask for an ability.
type section struct {
	api      *API
	group    rest.Group[staff]
	subjects []string
}

// may admits users whose role may do action to every subject of the section.
func (s section) may(action ability.Action) rest.Group[staff] {
	return s.group.Narrow(func(r *http.Request, who staff) (staff, error) {
		who.changes = action != ability.Read
		for _, subject := range s.subjects {
			if !s.api.Abilities.Can(who.User.Role, action, subject) {
				return who, errNotPermitted
			}
		}
		return s.api.reached(r, who)
	}, rest.On(errNotPermitted, 401, "admin.ability.not_permitted"))
}

// note keeps that a change was not made, or that a person was read: the gate, which writes about
// components that one was let through, leaves Barong's own to the endpoints, which know their outcome.
func (a *API) note(ctx context.Context, who staff, result string, sent url.Values) {
	row := who.Activity(a.Now(), audit.TopicOf(who.path), audit.ActionOf(who.method), result, "")
	row.Category = audit.CategoryAdmin
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

// reached waits for the version that r asks for in X-Policy-Version, as a write has answered it
// or after "min_version=", so that a writer sees the change in effect on this replica, too.
func (a *API) reached(r *http.Request, who staff) (staff, error) {
	text := r.Header.Get(versionHeader)
	if text == "" {
		return who, nil
	}
	version, err := feed.ParseCursor(strings.TrimPrefix(text, "min_version="))
	if err != nil {
		return who, errBadVersion
	}
	return who, a.Policy.Await(r.Context(), version, cmp.Or(a.Patience, 2*time.Second))
}

// policyVersion is the header of writes.
type policyVersion struct {
	Version string `header:"X-Policy-Version" doc:"The policy version that includes the change: its number and its name, to be taken as they are. Sent back in the same header, a request waits for it."`
}

// created is the header of an endpoint that makes a row.
type created struct {
	Location string `header:"Location" doc:"The address by which PUT and DELETE know the new row."`
}

// createdVersion are both headers.
type createdVersion struct {
	Location string `header:"Location" doc:"The address of the new row: GET lists it, PUT and DELETE know it by its id."`
	Version  string `header:"X-Policy-Version" doc:"The policy version that includes the change, as PUT answers it."`
}

// changed is the answer of a write without a body, added that of one that makes a row.
type (
	changed = rest.Reply[rest.None, policyVersion]
	added   = rest.Reply[rest.None, createdVersion]
)

// byID is the address of the row of a list that has an id.
func byID(ctx context.Context, list string, id int64) string {
	return rest.Address(ctx, "/admin"+list, url.Values{"id": {strconv.FormatInt(id, 10)}})
}

// taken answers an equal row that is there, and names it: at /preview, too.
func taken(list, token string) rest.Failure {
	return rest.On(policy.ErrTaken, 422, token).Header("X-Taken-By", "The address of the row that is there.",
		func(ctx context.Context, err error) string {
			if by, ok := errors.AsType[editor.TakenError](err); ok {
				return byID(ctx, list, by.ID)
			}
			return ""
		})
}

// condition are the parameters of writes beside the row: the version that the caller has seen and
// whether to go on against its own interest.
type condition struct {
	IfMatch *rest.IfMatch `name:"If-Match" in:"header" doc:"The lock_version that the row must have; * is any."`
	Force   bool          `name:"force" doc:"Go on although it locks you out; superadmins only."`
}

// errOutdated is the editor.ErrStale of a lock_version beside the fields of a row.
var errOutdated = errors.New("admin: the row is not of the lock_version that was sent with it")

// edit is the condition of an Edit; seen is the lock_version that was sent with the row, nil for any.
func (c condition) edit(by account.Actor, seen *int64) (editor.Edit, error) {
	versions, err := c.IfMatch.Versions()
	if seen != nil {
		if versions == nil || slices.Contains(versions, *seen) {
			versions = []int64{*seen}
		} else {
			versions = []int64{}
		}
	}
	return editor.Edit{By: by, Seen: versions, Force: c.Force}, err
}

// An edit makes a change of the policy.
type edit[C any] func(context.Context, editor.Edit, C) (editor.Outcome, error)

// write changes the row of ref under the condition that its client sends.
func write[C any](ctx context.Context, who staff, ref rowRef, on condition, change edit[C], to C) (out changed, err error) {
	e, err := on.edit(who.Actor, ref.LockVersion)
	if err != nil {
		return out, err
	}
	made, err := change(ctx, e, to)
	if errors.Is(err, editor.ErrStale) && on.IfMatch == nil {
		return out, errOutdated
	}
	out.Header.Version = made.Version.String()
	return out, err
}

// add makes a row of a list.
func add[C any](ctx context.Context, who staff, list string, on condition, change edit[C], to C) (out added, err error) {
	e, err := on.edit(who.Actor, nil)
	if err != nil {
		return out, err
	}
	made, err := change(ctx, e, to)
	if err != nil {
		return out, err
	}
	out.Header = createdVersion{byID(ctx, list, made.Added), made.Version.String()}
	return out, nil
}
