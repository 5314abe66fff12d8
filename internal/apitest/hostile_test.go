package apitest_test

import (
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/rest/resttest"
)

// Values that nobody should send are refused as declared, in each parameter of each endpoint.
func TestHostileValuesAreRefused(t *testing.T) {
	w := apitest.New(t)
	w.Account.Unlimited = true
	w.Account.StorageTitles = []string{"settings"}
	w.Shipped()
	w.Restart()
	w.Mount()
	as := func(uid string) *resttest.Client { return w.Client().With("Authorization", w.Bearer(uid)) }
	clients := map[string]*resttest.Client{
		"identity": w.Client(), "public": w.Client(), "resource": as("MEMBER"), "admin": as("SUPERADMIN"),
		"management": w.Peer("alex", "jeff"),
	}
	mounted := 0
	for namespace, c := range clients {
		for _, op := range c.Operations(namespace) {
			mounted++
			t.Run(op.String(), func(t *testing.T) {
				for _, uid := range []string{"MEMBER", "SUPERADMIN"} { // whatever happened to them
					w.PutUser(uid, func(u *account.User) {
						u.State, u.Role, u.PasswordDigest = account.StateActive, strings.ToLower(uid), "#"+apitest.Password
					})
				}
				values := map[string]any{}
				for _, p := range op.Params {
					values[p.Name] = apitest.Plausible(p)
					switch p.Name {
					case "title":
						values[p.Name] = "settings"
					case "uid", "user_uid":
						values[p.Name] = "MEMBER"
					case "password":
						if op.String() == "DELETE /resource/users/me" { // the right one ends the account
							values[p.Name] = "Wrong-" + apitest.Password
						}
					}
				}
				apitest.HostileValues(t, c, op, values)
			})
		}
	}
	if all := len(w.Server().Endpoints()); mounted != all {
		t.Errorf("%d of %d endpoints were asked: a namespace has no client here", mounted, all)
	}
}
