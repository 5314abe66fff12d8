package resource

import (
	"context"
	"slices"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/view"
)

type labelOrder struct {
	Ordering string `name:"ordering" enum:"asc,desc" default:"asc" doc:"By creation."`
}

type labelRef struct {
	Key string `name:"key"`
}

type labelInput struct {
	Key   string `name:"key" rule:"required,nonblank" doc:"Letters, digits, _ and -; 3 to 255."`
	Value string `name:"value" rule:"required,nonblank" doc:"As the key."`
}

type labelChange struct {
	Key   string `name:"key"`
	Value string `name:"value" rule:"required,nonblank" doc:"Letters, digits, _ and -; 3 to 255."`
}

func (a *API) labels(g rest.Group[me]) {
	private := rest.On(account.ErrPrivateLabel, 400, "resource.labels.private")
	value := rest.Rules("value.too_short", "value.too_long", "value.invalid")
	rest.Add(g, rest.Op{Method: "GET", Summary: "List your labels."}, a.listLabels)
	rest.Add(g, rest.Op{Method: "GET", Path: "/{key}", Summary: "Read one of your labels."}, a.readLabel)
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Create a public label.",
		Errors: rest.All(value, rest.Rules("key.exclusion", "key.taken", "key.too_short", "key.too_long", "key.invalid",
			"label.limit_reached")),
	}, a.createLabel)
	rest.Add(g, rest.Op{
		Method: "PATCH", Path: "/{key}", Summary: "Change the value of a public label.", Errors: rest.All(value, private),
	}, a.updateLabel)
	rest.Add(g, rest.Op{
		Method: "DELETE", Path: "/{key}", Summary: "Delete a public label.", Errors: private,
	}, a.deleteLabel)
}

func (a *API) listLabels(ctx context.Context, who me, in labelOrder) ([]view.Label, error) {
	list, err := a.Users.Labels(ctx, who.User.UID)
	if in.Ordering == "desc" {
		slices.Reverse(list)
	}
	return view.LabelsOf(list), err
}

// readLabel shows the older one when both scopes have the key.
func (a *API) readLabel(ctx context.Context, who me, in labelRef) (view.Label, error) {
	list, err := a.Users.Labels(ctx, who.User.UID)
	if err != nil {
		return view.Label{}, err
	}
	i := slices.IndexFunc(list, func(l account.Label) bool { return l.Key == in.Key })
	if i < 0 {
		return view.Label{}, account.ErrNoLabel
	}
	return view.LabelOf(list[i]), nil
}

func (a *API) createLabel(ctx context.Context, who me, in labelInput) (view.Label, error) {
	l, err := a.Accounts.SetLabel(ctx, who.Actor, account.LabelInput{
		UserUID: who.User.UID, Key: in.Key, Value: in.Value, OnlyNew: true,
	})
	return view.LabelOf(l), err
}

func (a *API) updateLabel(ctx context.Context, who me, in labelChange) (view.Label, error) {
	l, err := a.Accounts.SetLabel(ctx, who.Actor, account.LabelInput{
		UserUID: who.User.UID, Key: in.Key, Value: in.Value, OnlyOld: true, KeepDescription: true,
	})
	return view.LabelOf(l), err
}

func (a *API) deleteLabel(ctx context.Context, who me, in labelRef) (rest.None, error) {
	return rest.None{}, a.Accounts.RemoveLabel(ctx, who.Actor, who.User.UID, in.Key, account.ScopePublic)
}
