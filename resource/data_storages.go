package resource

import (
	"context"

	"barong/internal/rest"
)

type dataStorageInput struct {
	Title string `name:"title" rule:"required,nonblank" doc:"One that the operator allows."`
	Data  string `name:"data" rule:"required,nonblank" doc:"JSON text of at most 5120 characters."`
}

func (a *API) dataStorages(g rest.Group[me]) {
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Keep a text with your account, once for each title.",
		Errors: rest.Rules("data.too_long", "data.invalid_format", "title.taken", "title.inclusion", "title.exclusion"),
	}, a.storeData)
}

func (a *API) storeData(ctx context.Context, who me, in dataStorageInput) (rest.None, error) {
	return rest.None{}, a.Persons.StoreData(ctx, who.Actor, in.Title, in.Data)
}
