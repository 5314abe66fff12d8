package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/view"
)

// welcome is the answer that opens a session: whose account it is, with the CSRF token, and
// the session cookie.
type welcome = rest.Reply[view.UserWithFullInfo, rest.Cookies]

// An admission asks API.Admit for a visitor, and keeps the moment of the answer for the session.
type admission struct {
	api *API
	ip  netip.Addr
	at  session.Moment // zero until the visitor is admitted
}

func (a *API) admission(who visitor) *admission { return &admission{api: a, ip: who.IP} }

// ask is a signin.Admission.
func (d *admission) ask(ctx context.Context) (err error) {
	if d.at, err = d.api.Admit(ctx, d.ip); err != nil {
		return fmt.Errorf("admit address: %w", err)
	}
	return nil
}

// open starts a session of u, as of the admission, in place of the one that the browser came with.
func (a *API) open(ctx context.Context, who visitor, d *admission, u signin.SignedIn) (welcome, error) {
	out, err := a.show(ctx, u.User)
	if err != nil {
		return out, err
	}
	if d.at.At.IsZero() {
		return welcome{}, errors.New("open session: nobody has admitted the address")
	}
	cookie, s, err := a.Sessions.Open(ctx, session.Opening{
		UID: u.UID, Generation: u.SessionGeneration, IP: who.IP, UserAgent: who.UserAgent, Admitted: d.at,
		Replaces: who.cookies,
	}, a.Now())
	if err != nil {
		return out, fmt.Errorf("open session: %w", err)
	}
	out.Body.CSRFToken = s.CSRFToken
	// The twins first: to RFC 6265 one of them and the new cookie may be the same.
	out.Header.Set = append(slices.Clone(who.twins), a.Cookies.Set(cookie, a.Now()), signin.SetDevice(u.Device, a.Cookies.Insecure))
	return out, nil
}

// openHere is open for a person that needed no password to prove to be u: the device is known from now on.
func (a *API) openHere(ctx context.Context, who visitor, d *admission, u account.User) (welcome, error) {
	return a.open(ctx, who, d, signin.SignedIn{User: u, Device: a.SignIns.RememberDevice(who.device, u)})
}

// show is the answer that shows u and opens nothing.
func (a *API) show(ctx context.Context, u account.User) (out welcome, err error) {
	b, err := a.Persons.Belongings(ctx, u.UID)
	if err != nil {
		return out, err
	}
	out.Body = a.Masks.UserWithFullInfoOf(u, b)
	return out, nil
}
