package admin

import (
	"context"
	"net/http"
	"time"

	"barong/internal/account"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
)

// restrictions is the part of editor.Service about restrictions.
type restrictions interface {
	// RestrictionPage lists rows by id, and counts all that match.
	RestrictionPage(ctx context.Context, q editor.RestrictionQuery) ([]policy.Restriction, int, error)
	// ChangeRestriction: ErrNotFound, ErrStale, Invalid, ErrTaken, ErrWouldLockOut.
	ChangeRestriction(ctx context.Context, e editor.Edit, c editor.RestrictionChange) (version feed.Cursor, err error)
	// PreviewRestriction changes nothing: ErrNotFound, Invalid, ErrTaken.
	PreviewRestriction(ctx context.Context, e editor.Edit, c editor.RestrictionChange) (editor.Preview, error)
	// CreateWhitelink makes a link that ends after life and returns its token.
	CreateWhitelink(ctx context.Context, by account.Actor, life time.Duration) (token string, err error)
}

type restrictionPage struct {
	Scope    *string `name:"scope" rule:"nonblank" enum:"continent,country,ip,ip_subnet,all" value:"admin.restriction.invalid_scope"`
	Category *string `name:"category" rule:"nonblank" enum:"whitelist,maintenance,blacklist,blocklogin" value:"admin.restriction.invalid_category"`
	Range    string  `name:"range" enum:"created,updated" default:"created" value:"admin.restriction.invalid_range" doc:"Which time from and to are about."`
	span
	rest.Paging
}

// span is a range of time: seconds since 1970, both included.
type span struct {
	From *int64 `name:"from" doc:"Seconds since 1970, included."`
	To   *int64 `name:"to" doc:"Seconds since 1970, included."`
}

// bounds are from, included, and to, not included; zero is none. Times are shown to the
// second, so all of the last one is in it.
func (s span) bounds() (from, to time.Time) {
	const longest = 253402300799 // the last second of the year 9999
	if s.From != nil {
		from = time.Unix(min(max(*s.From, -longest), longest), 0)
	}
	if s.To != nil {
		to = time.Unix(min(max(*s.To, -longest), longest)+1, 0)
	}
	return from, to
}

type newRestriction struct {
	Scope    string  `name:"scope" rule:"required,nonblank" enum:"continent,country,ip,ip_subnet,all" value:"admin.restriction.invalid_scope"`
	Value    string  `name:"value" rule:"required,nonblank" doc:"An address, a prefix, a country or continent by code or English name; anything for all."`
	Category string  `name:"category" rule:"required,value,nonblank" enum:"whitelist,maintenance,blacklist,blocklogin" value:"admin.restriction.invalid_category"`
	State    *string `name:"state" rule:"nonblank" enum:"enabled,disabled" value:"admin.restriction.invalid_state" doc:"enabled when it is absent."`
	Code     *int    `name:"code" rule:"nonblank" in:"query" doc:"HTTP status of the denial, 400 to 499; absent means the default of category and scope."`
	condition
}

type restrictionChange struct {
	ID       int64   `name:"id" rule:"required,nonblank"`
	Scope    *string `name:"scope" rule:"nonblank" enum:"continent,country,ip,ip_subnet,all" value:"admin.restriction.invalid_scope"`
	Category *string `name:"category" rule:"value,nonblank" enum:"whitelist,maintenance,blacklist,blocklogin" value:"admin.restriction.invalid_category"`
	Value    *string `name:"value" rule:"nonblank"`
	State    *string `name:"state" rule:"nonblank" enum:"enabled,disabled" value:"admin.restriction.invalid_state"`
	Code     *int    `name:"code" rule:"nonblank" in:"query"`
	condition
}

type newWhitelink struct {
	ExpireTime int    `name:"expire_time" rule:"nonblank" default:"1" min:"1" max:"30" value:"invalid_expire" doc:"In units of range."`
	Range      string `name:"range" rule:"nonblank" enum:"day,hour" default:"day" value:"invalid_range"`
}

type whitelink struct {
	Token string `json:"whitelink_token" doc:"64 hex digits, shown once."`
}

func restrictionRules() []rest.Failure {
	return []rest.Failure{
		rest.On(policy.ErrTaken, http.StatusUnprocessableEntity, "value.taken"),
		rest.Rules("value.invalid", "value.too_long", "code.invalid", "value.blank",
			"scope.blank", "scope.invalid", "category.blank", "category.invalid", "state.invalid"),
	}
}

func (a *API) restrictions(g *rest.Group) {
	row := rowFailures("admin.restriction")
	all := append(restrictionRules(), row...)
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Status: http.StatusOK,
		Cost:    limit.List,
		Summary: "List restrictions, by id.",
	}, may(a, a.listRestrictions, need{ability.Read, ability.SubjectRestriction}))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Status: http.StatusCreated, Reference: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Add a restriction.", Errors: all,
	}, may(a, a.addRestriction, need{ability.Create, ability.SubjectRestriction}))
	rest.Add(g, rest.Op{
		Method: http.MethodPut, Status: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Change the fields of a restriction that are sent.", Errors: all,
	}, may(a, a.changeRestriction, need{ability.Update, ability.SubjectRestriction}))
	rest.Add(g, rest.Op{
		Method: http.MethodDelete, Status: http.StatusNoContent, Reference: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Delete a restriction.", Errors: row,
	}, may(a, a.removeRestriction, need{ability.Destroy, ability.SubjectRestriction}))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/whitelink", Status: http.StatusCreated,
		Cost:    limit.Staff,
		Summary: "Make a link by which somebody puts the own address on the whitelist.",
	}, may(a, a.makeWhitelink, need{ability.Create, ability.SubjectRestriction}))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/preview", Status: http.StatusOK,
		Cost:    limit.Preview,
		Summary: "Preview the decisions that a change to a restriction would turn; nothing is changed.",
		Errors: append(restrictionRules(),
			rest.On(policy.ErrNotFound, http.StatusNotFound, "admin.restriction.doesnt_exist")),
	}, may(a, a.previewRestriction, need{ability.Read, ability.SubjectRestriction}))
}

func (a *API) listRestrictions(ctx context.Context, _ staff, in restrictionPage) (out rest.Page[view.Restriction], err error) {
	q := editor.RestrictionQuery{
		Updated: in.Range == "updated", Limit: in.Limit, Offset: in.Offset(),
	}
	q.From, q.To = in.bounds()
	if in.Scope != nil {
		q.Scope = *in.Scope
	}
	if in.Category != nil {
		q.Category = *in.Category
	}
	list, total, err := a.Policy.RestrictionPage(ctx, q)
	if err != nil {
		return out, err
	}
	out = rest.Page[view.Restriction]{Items: make([]view.Restriction, 0, len(list)), Total: total, Paging: in.Paging}
	for _, r := range list {
		out.Items = append(out.Items, view.RestrictionOf(r))
	}
	return out, nil
}

func (a *API) addRestriction(ctx context.Context, who staff, in newRestriction) (rest.Also[rest.None, policyVersion], error) {
	return a.writeRestriction(ctx, who, in.condition, editor.RestrictionChange{
		Category: &in.Category, Scope: &in.Scope, Value: &in.Value, State: in.State, Code: in.Code,
	})
}

func (a *API) changeRestriction(ctx context.Context, who staff, in restrictionChange) (rest.Also[rest.None, policyVersion], error) {
	if in.ID == 0 { // no row has it, and for the service it means a new one
		return done(feed.Cursor{}, policy.ErrNotFound)
	}
	return a.writeRestriction(ctx, who, in.condition, editor.RestrictionChange{
		ID: in.ID, Category: in.Category, Scope: in.Scope, Value: in.Value, State: in.State, Code: in.Code,
	})
}

func (a *API) removeRestriction(ctx context.Context, who staff, in rowRef) (rest.Also[rest.None, policyVersion], error) {
	return a.writeRestriction(ctx, who, in.condition, editor.RestrictionChange{ID: in.ID, Remove: true})
}

func (a *API) writeRestriction(
	ctx context.Context, who staff, c condition, change editor.RestrictionChange,
) (rest.Also[rest.None, policyVersion], error) {
	e, err := c.edit(who)
	if err != nil {
		return done(feed.Cursor{}, err)
	}
	version, err := a.Policy.ChangeRestriction(ctx, e, change)
	return done(version, tokens(err, nil))
}

func (a *API) makeWhitelink(ctx context.Context, who staff, in newWhitelink) (out rest.Also[whitelink, policyVersion], err error) {
	unit := 24 * time.Hour
	if in.Range == "hour" {
		unit = time.Hour
	}
	token, err := a.Policy.CreateWhitelink(ctx, who.Actor, time.Duration(in.ExpireTime)*unit)
	out.Body.Token = token
	out.Headers.Version = a.Policy.Version().String() // a link decides nothing until it is used
	return out, err
}
