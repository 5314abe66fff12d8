package management

import (
	"context"
	"errors"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/roster"
	"barong/internal/view"
)

type labelsOf struct {
	UserUID string `name:"user_uid" rule:"required,nonblank"`
}

type labelInput struct {
	UserUID     string  `name:"user_uid" rule:"required,nonblank"`
	Key         string  `name:"key" rule:"required,nonblank" doc:"3 to 255 of [a-z0-9_-]."`
	Value       string  `name:"value" rule:"required,nonblank" doc:"As the key."`
	Description *string `name:"description" rule:"nonblank" doc:"For staff, at most 255 characters."`
}

type labelChange struct {
	labelInput
	Replace bool    `name:"replace" default:"true" doc:"Create the label when the user has none of the key."`
	Scope   *string `name:"scope" doc:"public makes a label that is created public; any other text makes it private."`
}

type labelFilter struct {
	Key      string `name:"key" rule:"required,nonblank"`
	Value    string `name:"value" rule:"nonblank"`
	Scope    string `name:"scope" rule:"nonblank" doc:"public or private; both when it is not sent."`
	Extended bool   `name:"extended" invalid:"Non boolean extended value" doc:"Show profiles, too."`
	Range    string `name:"range" default:"created" enum:"created,updated" value:"Invalid range" doc:"Whether from and to bound the creation of the label or its last change."`
	rest.Span
	rest.LongPaging
}

type labelRef struct {
	UserUID string `name:"user_uid" rule:"required,nonblank"`
	Key     string `name:"key" rule:"required,nonblank"`
}

// errNoLabel says that the label to be changed is not there.
var errNoLabel = errors.New("management: no label to be changed")

// labelRules are the rules that a label can break.
var labelRules = rest.Rules("key.too_short", "key.too_long", "key.invalid", "value.too_short", "value.too_long", "value.invalid", "description.too_long")

// lastSuperadmin refuses a change that would leave no active superadmin.
var lastSuperadmin = rest.On(account.ErrLastSuperadmin, 422, "management.user.last_superadmin")

func (a *API) labels(g rest.Group[services]) {
	rest.Add(a.scoped(g, usersReadScope), rest.Op{
		Method: "POST", Path: "/filter/users", Reference: 200, Summary: "List the users that have a label.",
	}, a.listHolders)
	g = g.Worded(rest.Wording{Rules: byAttribute}).Failing(notFound(account.ErrNoUser))
	rest.Add(a.scoped(g, labelsReadScope), rest.Op{
		Method: "POST", Path: "/list", Summary: "List the labels of a user, of both scopes.",
	}, a.listLabels)
	write := a.scoped(g, labelsWriteScope)
	rest.Add(write, rest.Op{
		Method: "POST", Summary: "Give a user a private label, from which level and state follow.",
		Errors: rest.All(labelRules, lastSuperadmin, rest.Rules("key.taken")),
	}, a.createLabel)
	rest.Add(write, rest.Op{
		Method: "PUT", Summary: "Change the value of a private label, or create it.",
		Errors: rest.All(rest.OnText(errNoLabel, 404, "label doesnt exist"), labelRules, lastSuperadmin, rest.Rules("key.taken")),
	}, a.changeLabel)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/delete", Reference: 204, Summary: "Delete a private label.", Errors: rest.All(notFound(account.ErrNoLabel), lastSuperadmin),
	}, a.deleteLabel)
}

func (a *API) listLabels(ctx context.Context, _ services, in labelsOf) ([]view.AdminLabel, error) {
	all, err := a.Accounts.LabelsOf(ctx, in.UserUID)
	if err != nil {
		return nil, err
	}
	return view.AdminLabelsOf(all), nil
}

func (a *API) listHolders(ctx context.Context, _ services, in labelFilter) (rest.Page[view.UserWithProfile], error) {
	q := account.LabelQuery{
		Key: in.Key, Value: in.Value, Scope: in.Scope, Updated: in.Range == "updated", Limit: in.Limit, Offset: in.Offset(),
	}
	q.From, q.To = in.Bounds()
	list, total, err := a.Accounts.LabelHolders(ctx, q)
	if err != nil {
		return rest.Page[view.UserWithProfile]{}, err
	}
	all, err := roster.Entries(ctx, a.Roster, list, in.Extended)
	return entries(all, total, in.LongPaging, in.Extended), err
}

func (a *API) createLabel(ctx context.Context, who services, in labelInput) (view.Label, error) {
	l, err := a.Accounts.SetLabel(ctx, who.Actor, account.LabelInput{
		UserUID: in.UserUID, Key: in.Key, Value: in.Value, Scope: account.ScopePrivate, Description: in.Description, OnlyNew: true,
	})
	return view.LabelOf(l), err
}

func (a *API) changeLabel(ctx context.Context, who services, in labelChange) (view.Label, error) {
	to := account.LabelInput{
		UserUID: in.UserUID, Key: in.Key, Value: in.Value, Scope: account.ScopePrivate, Description: in.Description, KeepDescription: true,
	}
	public := in.Scope != nil && *in.Scope == account.ScopePublic
	to.OnlyOld = !in.Replace || public
	l, err := a.Accounts.SetLabel(ctx, who.Actor, to)
	switch {
	case !errors.Is(err, account.ErrNoLabel):
	case in.Replace:
		to.Scope, to.OnlyOld, to.OnlyNew = account.ScopePublic, false, true
		l, err = a.Accounts.SetLabel(ctx, who.Actor, to)
	default:
		err = errNoLabel
	}
	return view.LabelOf(l), err
}

func (a *API) deleteLabel(ctx context.Context, who services, in labelRef) (view.Label, error) {
	l, err := a.Accounts.TakeLabel(ctx, who.Actor, in.UserUID, in.Key, account.ScopePrivate)
	return view.LabelOf(l), err
}
