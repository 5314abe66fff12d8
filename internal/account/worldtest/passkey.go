package worldtest

import (
	"encoding/json"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/factor/passkeytest"
	"barong/internal/view"
)

// Origin is that of the pages which may use passkeys here.
const Origin = "http://localhost:8001"

// NewDevice is a device without passkeys, in a browser that shows such a page.
func NewDevice() *passkeytest.Device { return &passkeytest.Device{Origin: Origin} }

// NewPasskey is the device's answer to a challenge of a new passkey of u, and the cookie of the
// browser; code is "" while u's one-time codes are off.
func (w *World) NewPasskey(u account.User, d *passkeytest.Device, code string) (cookie string, answer []byte) {
	w.T.Helper()
	c, err := w.SignIns.BeginPasskey(w.T.Context(), ActorOf(u), Password, code)
	w.Must(err)
	begun, err := json.Marshal(view.PasskeyCreationOf(c))
	w.Must(err)
	answer, err = d.Create(begun)
	w.Must(err)
	return c.Cookie, answer
}

// Passkey registers such a passkey.
func (w *World) Passkey(u account.User, d *passkeytest.Device, code string) factor.Passkey {
	w.T.Helper()
	cookie, answer := w.NewPasskey(u, d, code)
	p, _, err := w.Codes.AddPasskey(w.T.Context(), ActorOf(u), cookie, answer, "my phone")
	w.Must(err)
	return p
}

// ShowPasskey is the device's answer to a challenge of a sign-in, and the cookie of the browser.
func (w *World) ShowPasskey(d *passkeytest.Device) (cookie string, answer []byte) {
	w.T.Helper()
	r, err := w.SignIns.BeginPasskeySignIn()
	w.Must(err)
	begun, err := json.Marshal(view.PasskeyRequestOf(r))
	w.Must(err)
	answer, err = d.Get(begun)
	w.Must(err)
	return r.Cookie, answer
}
