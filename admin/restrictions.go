package admin

import (
	"context"
	"time"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
)

// The words of rows.
type (
	scope    string
	category string
	state    string
)

func (scope) Values() ([]string, string)    { return policy.Scopes(), ".invalid_scope" }
func (category) Values() ([]string, string) { return policy.Categories(), ".invalid_category" }
func (state) Values() ([]string, string)    { return policy.States(), ".invalid_state" }

type restrictionPage struct {
	ID       *int64   `name:"id"`
	Scope    scope    `name:"scope" rule:"nonblank"`
	Category category `name:"category" rule:"nonblank"`
	Value    *string  `name:"value" doc:"The whole value, in any spelling that a new row may have."`
	Code     *int     `name:"code" in:"query"`
	State    state    `name:"state" rule:"nonblank"`
	Range    string   `name:"range" enum:"created,updated" default:"created" value:".invalid_range" doc:"Which time from and to are about."`
	rest.Span
	Ordering string            `name:"ordering" enum:"asc,desc" default:"asc" value:"restrictions.ordering.invalid_ordering"`
	OrderBy  restrictionColumn `name:"order_by" default:"id" doc:"Rows that are equal in it are in the order of their making."`
	rest.Paging
}

// restrictionColumn is the word of an order.
type restrictionColumn string

func (restrictionColumn) Values() ([]string, string) {
	return editor.RestrictionOrders(), "restrictions.ordering.invalid_attribute"
}

type restrictionInput struct {
	Scope    scope    `name:"scope" rule:"required,nonblank"`
	Value    string   `name:"value" rule:"required,nonblank" doc:"An address, a prefix, a country or continent by code or English name; anything for all."`
	Category category `name:"category" rule:"required,value,nonblank"`
	State    *state   `name:"state" rule:"nonblank" doc:"enabled when it is absent."`
	Code     *int     `name:"code" rule:"nonblank" in:"query" doc:"HTTP status of the denial, 400 to 499; absent means the default of category and scope."`
	condition
}

// restrictionFields are those that a change sets; absent ones stay.
type restrictionFields struct {
	Scope    *scope    `name:"scope" rule:"nonblank"`
	Category *category `name:"category" rule:"value,nonblank"`
	Value    *string   `name:"value" rule:"nonblank"`
	State    *state    `name:"state" rule:"nonblank"`
	Code     *int      `name:"code" rule:"nonblank" in:"query"`
}

func (f restrictionFields) change(id *int64, remove bool) editor.RestrictionChange {
	return editor.RestrictionChange{
		ID: id, Remove: remove, Category: (*string)(f.Category), Scope: (*string)(f.Scope), Value: f.Value,
		State: (*string)(f.State), Code: f.Code,
	}
}

type restrictionChange struct {
	rowRef
	restrictionFields
	condition
}

type previewedRestriction struct {
	previewed
	restrictionFields
}

type whitelinkInput struct {
	ExpireTime int    `name:"expire_time" rule:"nonblank" default:"1" min:"1" max:"30" value:"invalid_expire" doc:"In units of range."`
	Range      string `name:"range" rule:"nonblank" enum:"day,hour" default:"day" value:"invalid_range"`
}

type whitelink struct {
	Token string `json:"whitelink_token" doc:"64 hex digits, shown once."`
}

var restrictionRules = rest.All(
	taken("/restrictions", "value.taken"),
	rest.Rules("value.invalid", "value.too_long", "code.invalid"))

func (a *API) restrictions(s section) {
	rest.Add(s.may(ability.Read), rest.Op{Method: "GET", Summary: "List restrictions, by id or as ordering and order_by say."}, a.listRestrictions)
	rest.Add(s.may(ability.Create), rest.Op{
		Method: "POST", Reference: 200, Summary: "Add a restriction.", Errors: rest.All(restrictionRules, newErrors),
	}, a.addRestriction)
	rest.Add(s.may(ability.Update), rest.Op{
		Method: "PUT", Summary: "Change the fields of a restriction that are sent.",
		Errors: rest.All(restrictionRules, rowErrors),
	}, a.changeRestriction)
	rest.Add(s.may(ability.Destroy), rest.Op{
		Method: "DELETE", Reference: 200, Summary: "Delete a restriction.", Errors: rowErrors,
	}, a.removeRestriction)
	rest.Add(s.may(ability.Create), rest.Op{
		Method: "POST", Path: "/whitelink", Summary: "Make a link by which users put their own address on the whitelist.",
	}, a.makeWhitelink)
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "POST", Path: "/preview", Status: 200, Cost: limit.Preview,
		Summary: "Preview the decisions that a change to a restriction would turn; nothing is changed.",
		Errors: rest.All(restrictionRules, rest.Rules("value.blank", "scope.blank", "category.blank"),
			rest.On(policy.ErrNotFound, 404, ".doesnt_exist")),
	}, a.previewRestriction)
}

func (a *API) listRestrictions(ctx context.Context, _ staff, in restrictionPage) (rest.Page[view.Restriction], error) {
	q := editor.RestrictionQuery{
		ID: in.ID, Scope: string(in.Scope), Category: string(in.Category), State: string(in.State), Code: in.Code,
		Updated: in.Range == "updated",
		Order:   editor.Order{By: string(in.OrderBy), Desc: in.Ordering == "desc"},
		Limit:   in.Limit, Offset: in.Offset(),
	}
	if in.Value != nil {
		q.Values = policy.Spellings(*in.Value)
	}
	q.From, q.To = in.Bounds()
	list, total, err := a.Policy.RestrictionPage(ctx, q)
	return rest.PageOf(list, total, in.Paging, view.RestrictionOf), err
}

func (a *API) addRestriction(ctx context.Context, who staff, in restrictionInput) (added, error) {
	return add(ctx, who, "/restrictions", in.condition, a.Policy.ChangeRestriction, editor.RestrictionChange{
		Category: (*string)(&in.Category), Scope: (*string)(&in.Scope), Value: &in.Value, State: (*string)(in.State), Code: in.Code,
	})
}

func (a *API) changeRestriction(ctx context.Context, who staff, in restrictionChange) (changed, error) {
	return write(ctx, who, in.rowRef, in.condition, a.Policy.ChangeRestriction, in.change(&in.ID, false))
}

func (a *API) removeRestriction(ctx context.Context, who staff, in removal) (changed, error) {
	return write(ctx, who, in.rowRef, in.condition, a.Policy.ChangeRestriction, editor.RestrictionChange{ID: &in.ID, Remove: true})
}

func (a *API) previewRestriction(ctx context.Context, who staff, in previewedRestriction) (view.Preview, error) {
	return show(ctx, who, in.previewed, rowErrors.Under("admin.restriction"), a.Policy.PreviewRestriction, in.change)
}

func (a *API) makeWhitelink(ctx context.Context, who staff, in whitelinkInput) (out rest.Reply[whitelink, policyVersion], err error) {
	unit := 24 * time.Hour
	if in.Range == "hour" {
		unit = time.Hour
	}
	out.Body.Token, err = a.Policy.CreateWhitelink(ctx, who.Actor, time.Duration(in.ExpireTime)*unit)
	out.Header.Version = a.Policy.Version().String() // a link decides nothing until it is used
	return out, err
}
