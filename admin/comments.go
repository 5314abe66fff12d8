package admin

import (
	"context"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

// The parameters are named after the user in tokens, as ever.
type commentInput struct {
	UID   string `name:"uid" rule:"required,nonblank" missing:"admin.user.missing_uid" empty:"admin.user.empty_uid"`
	Title string `name:"title" rule:"required,nonblank" missing:"admin.user.missing_title" empty:"admin.user.empty_title" doc:"At most 64 characters."`
	Data  string `name:"data" rule:"required,nonblank" missing:"admin.user.missing_data" empty:"admin.user.empty_data" doc:"At most 65535 characters."`
}

type commentChange struct {
	commentRef
	Title *string `name:"title" rule:"nonblank" empty:"admin.user.empty_title"`
	Data  *string `name:"data" rule:"nonblank" empty:"admin.user.empty_data"`
}

type commentRef struct {
	ID int64 `name:"id" rule:"required" missing:"admin.user.missing_id"`
}

// comments are the endpoints of notes on users.
func (a *API) comments(s section) {
	g := s.may(ability.Update).Failing(reachErrors)
	long := rest.Rules(".title_too_long", ".data_too_long")
	gone := rest.On(account.ErrNotFound, 404, "record.not_found") // the comment, or its user by now
	rest.Add(g, rest.Op{Method: "POST", Summary: "Note something about a user.", Errors: rest.All(noUser, long)}, a.addComment)
	rest.Add(g, rest.Op{
		Method: "PUT", Summary: "Change a comment of your own, or of an author of a lower rank.", Errors: rest.All(gone, long),
	}, a.changeComment)
	rest.Add(g, rest.Op{
		Method: "DELETE", Status: 200, Summary: "Delete a comment of your own, or of an author of a lower rank.", Errors: gone,
	}, a.removeComment)
}

func (a *API) addComment(ctx context.Context, who staff, in commentInput) (out rest.Reply[view.UserWithKYC, created], err error) {
	id, err := a.Persons.AddComment(ctx, who.Actor, in.UID, in.Title, in.Data)
	if err != nil {
		return out, err
	}
	out.Header.Location = byID(ctx, "/users/comments", id)
	out.Body, err = a.dossierOf(ctx, who, in.UID)
	return out, err
}

func (a *API) changeComment(ctx context.Context, who staff, in commentChange) (v view.UserWithKYC, err error) {
	uid, err := a.Persons.ChangeComment(ctx, who.Actor, in.ID, in.Title, in.Data)
	if err != nil {
		return v, err
	}
	return a.dossierOf(ctx, who, uid)
}

func (a *API) removeComment(ctx context.Context, who staff, in commentRef) (v view.UserWithKYC, err error) {
	uid, err := a.Persons.RemoveComment(ctx, who.Actor, in.ID)
	if err != nil {
		return v, err
	}
	return a.dossierOf(ctx, who, uid)
}
