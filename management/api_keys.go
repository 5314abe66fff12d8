package management

import (
	"context"
	"errors"
	"strings"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/rest"
	"barong/internal/view"
)

// Keys says whose API keys peer services may make and change.
type Keys struct {
	// OfUsers and OfServiceAccounts switch both endpoints on for these holders.
	OfUsers, OfServiceAccounts bool
	// UIDPrefix begins the uids of users.
	UIDPrefix string
}

// servicePrefix begins the uids of service accounts that were made up.
const servicePrefix = "SI"

type keyInput struct {
	Algorithm string  `name:"algorithm" rule:"required,nonblank" doc:"HS256."`
	UID       string  `name:"uid" rule:"required,nonblank" doc:"Of the user or service account that is to hold it."`
	Scopes    *string `name:"scopes" rule:"nonblank" doc:"Names of scopes, separated by commas."`
}

type keyChange struct {
	Kid    string  `name:"kid" rule:"required,nonblank"`
	UID    string  `name:"uid" rule:"required,nonblank" doc:"Of its holder."`
	Scopes *string `name:"scopes" rule:"nonblank" doc:"In place of those that it has."`
	State  *string `name:"state" rule:"nonblank" doc:"active or inactive."`
}

// Refusals about holders that are not there.
var (
	errNoUser           = errors.New("management: no such user")
	errNoServiceAccount = errors.New("management: no such service account")
	errNoPrefix         = errors.New("management: the uid is of no kind")
)

func (a *API) keys(g rest.Group[services]) {
	g = a.scoped(g, keysWriteScope).Worded(rest.Wording{Rules: plain}).Failing(
		rest.OnText(apikey.ErrHoldersOff, 422, "disabled_management_endpoint"),
		rest.OnText(errNoUser, 422, "user_doesnt_exist"),
		rest.OnText(errNoServiceAccount, 422, "service_account_doesnt_exist"),
		rest.OnText(errNoPrefix, 422, "uid_prefix_doesnt_exist"))
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Create an API key. Its secret is shown only now.",
		Errors: rest.All(
			rest.Rules("kid.blank", "algorithm.inclusion", "scope.too_long", "scope.unknown", "ip_whitelist.required",
				"key_holder_account.invalid", "api_key.limit_reached"),
			rest.On(apikey.ErrCouldNotSaveSecret, 422, "api_key.could_not_save_secret")),
	}, a.createKey)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/update", Summary: "Change the scopes or the state of an API key.",
		Errors: rest.All(rest.OnText(apikey.ErrNoKey, 422, "api_key_doesnt_exist"),
			rest.Rules("scope.too_long", "scope.unknown", "ip_whitelist.required", "state.inclusion", "state.invalid")),
	}, a.updateKey)
}

func (a *API) createKey(ctx context.Context, who services, in keyInput) (view.APIKey, error) {
	grant, lacks := a.grant(who, in.UID)
	k, err := a.APIKeys.IssueKey(ctx, who.Actor, grant, apikey.Input{Algorithm: in.Algorithm, Bounds: bounds(in.Scopes)})
	return view.NewAPIKeyOf(k), a.refusal(err, lacks, in.UID)
}

func (a *API) updateKey(ctx context.Context, who services, in keyChange) (view.APIKey, error) {
	grant, lacks := a.grant(who, in.UID)
	k, err := a.APIKeys.ReviseKey(ctx, who.Actor, grant, in.Kid, apikey.Patch{State: in.State, Bounds: bounds(in.Scopes)})
	return view.APIKeyOf(k), a.refusal(err, lacks, in.UID)
}

// grant says how far a peer may go with the keys of a holder; lacks says why the holder must be a member.
func (a *API) grant(who services, uid string) (g apikey.Grant, lacks error) {
	lacks = who.Allows(rolesScope)
	return apikey.Grant{
		HolderUID: uid, Users: a.Keys.OfUsers, ServiceAccounts: a.Keys.OfServiceAccounts, Staff: lacks == nil,
	}, lacks
}

// refusal is err in the words of these endpoints: a holder that is not there is refused by the kind that
// its uid shows.
func (a *API) refusal(err, lacks error, uid string) error {
	user, service := strings.HasPrefix(uid, a.Keys.UIDPrefix), strings.HasPrefix(uid, servicePrefix)
	switch {
	case errors.Is(err, account.ErrRank):
		return lacks
	case !errors.Is(err, account.ErrNoServiceAccount):
		return err
	case user && !a.Keys.OfUsers, !user && service && !a.Keys.OfServiceAccounts:
		return apikey.ErrHoldersOff
	case user:
		return errNoUser
	case service:
		return errNoServiceAccount
	}
	return errNoPrefix
}

// bounds are those of a key with these scopes, nil for those that it has.
func bounds(scopes *string) apikey.Bounds {
	if scopes == nil {
		return apikey.Bounds{}
	}
	return apikey.Bounds{Scope: new(strings.Split(*scopes, ","))}
}
