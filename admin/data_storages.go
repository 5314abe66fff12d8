package admin

import (
	"context"

	"barong/internal/person"
	"barong/internal/rest"
	"barong/policy/ability"
)

type dataStorageRef struct {
	UID   string `name:"uid" rule:"required,nonblank"`
	Title string `name:"title" rule:"required,nonblank"`
}

func (a *API) dataStorages(s section) {
	rest.Add(s.may(ability.Destroy), rest.Op{
		Method: "DELETE", Reference: 200, Summary: "Delete data that a user keeps under a title, and the private label of that name.",
		Errors: rest.All(labelOwner, rest.On(person.ErrNoStorage, 404, "admin.storage.doesnt_exist")),
	}, a.deleteData)
}

func (a *API) deleteData(ctx context.Context, who staff, in dataStorageRef) (rest.None, error) {
	return rest.None{}, a.Persons.RemoveData(ctx, who.Actor, in.UID, in.Title)
}
