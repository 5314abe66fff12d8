package signin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"barong/internal/account"
	"barong/internal/secret"
)

// DeviceCookie is the name of the cookie of Devices.
const DeviceCookie = "_barong_device"

// DeviceLife is how long a device is known after its last sign-in.
const DeviceLife = 90 * 24 * time.Hour

// SetDevice is the Set-Cookie value that makes a device known, which SignedIn.Device is the value of;
// "" for a value of "". It proves nothing, so upstreams under the same path may see it. Insecure leaves
// the attribute Secure out.
func SetDevice(value string, insecure bool) string {
	if value == "" {
		return ""
	}
	return (&http.Cookie{
		Name: DeviceCookie, Value: value, Path: "/api/v2", MaxAge: int(DeviceLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: !insecure,
	}).String()
}

// maxDevices is how many accounts one cookie remembers: the newest.
const maxDevices = 5

// Devices make and read the cookie by which a browser shows that an account was signed in to
// from it. It is no credential: all it gives is a bucket of its own for failed sign-ins, which
// others cannot empty, and silence about the device being new.
//
// A cookie value is the base64url form, unpadded, of
//
//	version 1 (1 byte) ‖ up to five times: device (16) ‖ expiry (4) ‖ MAC (16)
//
// newest first, the expiry in seconds since 1970, big-endian. The MAC is the first half of
// HMAC-SHA-256 over version, device, expiry, the account's uid and, while its address is unproved,
// that. So the cookie names no account, and proves nothing about another one. It is bound to little that
// changes: a new password, a reset and the end of sessions leave devices known, for all that
// somebody has from a stolen one is five guesses in fifteen minutes, which the second factor and
// a new password stand against. The proof of the address makes strangers of all devices from
// before it, and a master key that is neither the current one nor one of the others of all there are.
//
// Devices are immutable and safe for concurrent use.
type Devices struct{ keys [][]byte }

const (
	deviceVersion = 1
	deviceIDSize  = 16
	deviceMACAt   = deviceIDSize + 4
	deviceSize    = deviceMACAt + sha256.Size/2
	devicesMax    = 1 + maxDevices*deviceSize
)

// A device is one entry of a cookie, as bytes of the form above.
type device [deviceSize]byte

// NewDevices derives the key of new cookies from the master key (secret.ParseKey), and those of cookies
// that are known as well from others.
func NewDevices(master []byte, others ...[]byte) (*Devices, error) {
	d := &Devices{}
	for _, m := range append([][]byte{master}, others...) {
		key, err := secret.SubKey(m, "device")
		if err != nil {
			return nil, fmt.Errorf("device cookies: %w", err)
		}
		d.keys = append(d.keys, key)
	}
	return d, nil
}

// String keeps the key out of logs and errors.
func (*Devices) String() string { return "signin.Devices" }

// GoString keeps it out of %#v.
func (d *Devices) GoString() string { return d.String() }

// Known reports whether the cookie value shows that the account, by the name deviceName, was
// used from this device, and returns the device's id for that account, 32 hex digits. Any text
// is allowed; a value not made here knows nobody. Devices that are nil know nobody.
func (d *Devices) Known(cookie, uid string, now time.Time) (deviceID string, ok bool) {
	if d == nil || uid == "" {
		return "", false
	}
	all, err := parseDevices(cookie)
	if err != nil {
		return "", false
	}
	for _, e := range all {
		if d.made(e, uid) && now.Before(e.expires()) {
			return hex.EncodeToString(e[:deviceIDSize]), true
		}
	}
	return "", false
}

// Remember returns the cookie value that knows the account too, for DeviceLife from now. The
// device keeps its id. A cookie that makes no sense is begun anew; nil Devices return "".
func (d *Devices) Remember(cookie, uid string, now time.Time) string {
	if d == nil {
		return ""
	}
	var e device
	copy(e[:], secret.Bytes(deviceIDSize))
	out := []byte{deviceVersion}
	old, _ := parseDevices(cookie)
	var others []byte
	for _, o := range old {
		switch {
		case d.made(o, uid):
			if now.Before(o.expires()) {
				copy(e[:deviceIDSize], o[:])
			}
		case now.Before(o.expires()):
			others = append(others, o[:]...)
		}
	}
	binary.BigEndian.PutUint32(e[deviceIDSize:], uint32(now.Add(DeviceLife).Unix()))
	copy(e[deviceMACAt:], mac(d.keys[0], e, uid))
	out = append(append(out, e[:]...), others...)
	return base64.RawURLEncoding.EncodeToString(out[:min(len(out), devicesMax)])
}

// deviceName returns the name by which devices know u; "" for nobody.
func deviceName(u account.User) string {
	if u.Unproved {
		return u.UID + " unproved"
	}
	return u.UID
}

// made reports whether e was made here for the account.
func (d *Devices) made(e device, uid string) bool {
	return slices.ContainsFunc(d.keys, func(key []byte) bool { return hmac.Equal(e[deviceMACAt:], mac(key, e, uid)) })
}

func mac(key []byte, e device, uid string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte{deviceVersion})
	h.Write(e[:deviceMACAt])
	h.Write([]byte(uid)) // last, as all else has its length
	return h.Sum(nil)[:deviceSize-deviceMACAt]
}

func (e device) expires() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(e[deviceIDSize:])), 0)
}

var errDevices = errors.New("signin: no device cookie")

// parseDevices reads a cookie value; it proves nothing about the entries.
func parseDevices(cookie string) ([]device, error) {
	if len(cookie) > base64.RawURLEncoding.EncodedLen(devicesMax) {
		return nil, errDevices
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(b) <= deviceSize || b[0] != deviceVersion || (len(b)-1)%deviceSize != 0 {
		return nil, errDevices
	}
	var all []device
	for b = b[1:]; len(b) > 0; b = b[deviceSize:] {
		all = append(all, device(b))
	}
	return all, nil
}
