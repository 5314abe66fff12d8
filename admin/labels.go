package admin

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

type labelSearch struct {
	Key   string `name:"key" rule:"required"`
	Value string `name:"value" rule:"required"`
	rest.Paging
}

type labelInput struct {
	UID         string  `name:"uid" rule:"required,nonblank"`
	Key         string  `name:"key" rule:"required,nonblank" doc:"Letters, digits, _ and -; 3 to 255."`
	Value       string  `name:"value" rule:"required,nonblank" doc:"As the key."`
	Description *string `name:"description" rule:"nonblank" doc:"For staff; at most 255 characters."`
	Scope       *string `name:"scope" rule:"nonblank" doc:"public, which is the default, or private: private labels decide level and state."`
}

type labelChange struct {
	UID         string  `name:"uid" rule:"required,nonblank"`
	Key         string  `name:"key" rule:"required,nonblank"`
	Scope       string  `name:"scope" rule:"required,nonblank" doc:"Of the label that is meant: public or private."`
	Description *string `name:"description" rule:"nonblank" doc:"Stays when it is not sent."`
	Value       string  `name:"value" rule:"required,nonblank"`
}

type labelReplacement struct {
	UID         string  `name:"uid" rule:"required,nonblank"`
	Key         string  `name:"key" rule:"required,nonblank"`
	Scope       string  `name:"scope" rule:"required,nonblank" doc:"public or private."`
	Value       string  `name:"value" rule:"required,nonblank"`
	Description *string `name:"description" rule:"nonblank" doc:"There is none any more when it is not sent."`
	Replace     bool    `name:"replace" default:"true" invalid:".non_boolean_replace" doc:"Create the label if there is none."`
}

type labelRef struct {
	UID   string `name:"uid" rule:"required,nonblank"`
	Key   string `name:"key" rule:"required,nonblank"`
	Scope string `name:"scope" rule:"required,nonblank" doc:"public or private."`
}

// labelCounts is how many users have each private label, by key and value as a JSON array.
type labelCounts map[string]int

// labelOwner are the refusals of changes of labels and of stored data, by whose they are.
var labelOwner = rest.All(
	rest.On(account.ErrNoUser, 404, ".doesnt_exist"),
	rest.On(account.ErrActorChanged, 401, "admin.ability.not_permitted"),
	rest.On(account.ErrSuperadminOnly, 422, ".superadmin_change"),
	rest.On(account.ErrSelf, 422, ".update_himself"),
	rest.On(account.ErrRank, 422, ".insufficient_rank"))

// labels mounts the endpoints about labels: lists of users ask for the ability to read users, as all
// lists of users do.
func (a *API) labels(s, users section) {
	rest.Add(users.may(ability.Read), rest.Op{Method: "GET", Summary: "List the users who have a label, of either scope."}, a.listLabelled)
	rest.Add(users.may(ability.Read), rest.Op{
		Method: "GET", Path: "/list", Summary: "Count the users of each private label; the names are arrays of key and value.",
	}, a.countLabels)
	var (
		absent = rest.On(account.ErrNoLabel, 404, "admin.label.doesnt_exist")
		value  = rest.Rules("value.too_short", "value.too_long", "value.invalid", "description.too_long")
		key    = rest.Rules("scope.inclusion", "key.too_short", "key.too_long", "key.invalid", "key.exclusion", "label.limit_reached")
	)
	rest.Add(s.may(ability.Create), rest.Op{
		Method: "POST", Reference: 200, Summary: "Give a user a label; a private one has its effect on level and state at once.",
		Errors: rest.All(labelOwner, key, rest.Rules("key.taken"), value),
	}, a.addLabel)
	rest.Add(s.may(ability.Update), rest.Op{
		Method: "PUT", Summary: "Change the value of a label.", Errors: rest.All(labelOwner, absent, value),
	}, a.changeLabel)
	rest.Add(s.may(ability.Update), rest.Op{
		Method: "POST", Path: "/update", Reference: 200, Summary: "Change the value and the description of a label, or create it.",
		Errors: rest.All(labelOwner, absent, key, value),
	}, a.replaceLabel)
	rest.Add(s.may(ability.Destroy), rest.Op{
		Method: "DELETE", Reference: 200, Summary: "Delete a label.", Errors: rest.All(labelOwner, absent),
	}, a.deleteLabel)
}

func (a *API) listLabelled(ctx context.Context, _ staff, in labelSearch) (rest.Page[view.User], error) {
	if strings.TrimSpace(in.Value) == "" { // which matches any
		return rest.PageOf(nil, 0, in.Paging, view.UserOf), nil
	}
	list, total, err := a.Accounts.LabelHolders(ctx, account.LabelQuery{Key: in.Key, Value: in.Value, Limit: in.Limit, Offset: in.Offset()})
	return rest.PageOf(list, total, in.Paging, view.UserOf), err
}

func (a *API) countLabels(ctx context.Context, _ staff, _ rest.None) (labelCounts, error) {
	list, err := a.Accounts.LabelCounts(ctx)
	out := make(labelCounts, len(list))
	for _, c := range list {
		key, _ := json.Marshal(c.Key) // texts always marshal
		value, _ := json.Marshal(c.Value)
		out["["+string(key)+", "+string(value)+"]"] = c.Users
	}
	return out, err
}

// makeLabel also answers the address of the label.
func (a *API) makeLabel(ctx context.Context, who staff, in account.LabelInput) (out rest.Reply[rest.None, created], err error) {
	l, err := a.Accounts.SetLabel(ctx, who.Actor, in)
	if err != nil {
		return out, err
	}
	out.Header.Location = rest.Address(ctx, "/admin/users/labels", url.Values{"uid": {l.UserUID}, "key": {l.Key}, "scope": {l.Scope}})
	return out, nil
}

func (a *API) addLabel(ctx context.Context, who staff, in labelInput) (rest.Reply[rest.None, created], error) {
	l := account.LabelInput{UserUID: in.UID, Key: in.Key, Value: in.Value, Description: in.Description, OnlyNew: true}
	if in.Scope != nil {
		l.Scope = *in.Scope
	}
	return a.makeLabel(ctx, who, l)
}

func (a *API) changeLabel(ctx context.Context, who staff, in labelChange) (none rest.None, err error) {
	_, err = a.Accounts.SetLabel(ctx, who.Actor, account.LabelInput{
		UserUID: in.UID, Key: in.Key, Scope: in.Scope, Value: in.Value, Description: in.Description,
		OnlyOld: true, KeepDescription: true,
	})
	return none, err
}

func (a *API) replaceLabel(ctx context.Context, who staff, in labelReplacement) (rest.Reply[rest.None, created], error) {
	return a.makeLabel(ctx, who, account.LabelInput{
		UserUID: in.UID, Key: in.Key, Scope: in.Scope, Value: in.Value, Description: in.Description, OnlyOld: !in.Replace,
	})
}

func (a *API) deleteLabel(ctx context.Context, who staff, in labelRef) (rest.None, error) {
	return rest.None{}, a.Accounts.RemoveLabel(ctx, who.Actor, in.UID, in.Key, in.Scope)
}
