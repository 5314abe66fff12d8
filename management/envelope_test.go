package management_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"barong/internal/apitest"
)

func TestEveryEndpointIsCounted(t *testing.T) { apitest.TestBudgets(t, "management") }

// Before any parameter is looked at, a body must be one that the services have signed whom the scope
// wants, under every prefix.
func TestEveryEndpointWantsSignatures(t *testing.T) {
	w := newWorld(t)
	c := w.Client()
	endpoints := c.Endpoints("management")
	if len(endpoints) == 0 {
		t.Fatal("nothing is mounted")
	}
	for _, e := range endpoints {
		for _, prefix := range c.Prefixes() {
			at := prefix + e.Path
			w.peers().JSON(t, e.Method, at+"?uid=MEMBER", m{}).Want(t, 400, `{"error":"Query parameters are not allowed."}`)
			for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", "application/jsonx"} {
				w.peers().Send(t, e.Method, at, media, "{}").Want(t, 400, `{"error":"Only JSON body is accepted."}`)
			}
			for _, body := range []string{"", "{", "signed", "{} {}"} {
				w.peers().Send(t, e.Method, at, "application/json", body+"]").Want(t, 400, `{"error":"Couldn't parse JWT."}`)
			}
			a := c.Send(t, "OPTIONS", at, "", "")
			a.Want(t, 405, `{"error":"Only POST and PUT verbs are allowed."}`)
			if allow := a.Header.Get("Allow"); !strings.Contains(allow, e.Method) || strings.Contains(allow, "OPTIONS") {
				t.Errorf("%s: Allow is %q", at, allow)
			}
			c.JSON(t, e.Method, at, m{"uid": "MEMBER"}).Want(t, 401, `{"error":"Failed to verify JWT."}`)
			w.As("SUPERADMIN").JSON(t, e.Method, at, m{"uid": "MEMBER"}).Want(t, 401, `{"error":"Failed to verify JWT."}`)
			w.Peer("james", "jeff").JSON(t, e.Method, at, m{}).Want(t, 401, `{"error":"Not enough signatures for the action."}`)
			w.Peer().JSON(t, e.Method, at, m{}).Want(t, 401, `{"error":"Not enough signatures for the action."}`)
		}
		for _, other := range []string{"GET", "DELETE", "PATCH"} {
			c.JSON(t, other, "/api/v2"+e.Path, nil).Want(t, 404, `{"error":"Route is not found"}`)
		}
	}
}

// Parameters of the media type are no matter.
func TestMediaType(t *testing.T) {
	w := newWorld(t)
	for _, media := range []string{"application/json; charset=utf-8", "Application/JSON", "application/json;version=1"} {
		w.peers().Send(t, "POST", base+"/timestamp", media, "").Want(t, 201, `{"timestamp":1795248000}`)
	}
}

func TestTimestamp(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "/timestamp", nil).Want(t, 201, `{"timestamp":1795248000}`)
	w.ask(t, "/timestamp", m{"scope": "tools"}).Want(t, 201, `{"timestamp":1795248000}`)
	w.REST.ReferenceStatus = true
	w.Mount()
	w.ask(t, "/timestamp", nil).Want(t, 200, `{"timestamp":1795248000}`)
}

// verifyRS256 verifies a signature by a public key in PEM.
func verifyRS256(public []byte, text, signature string) error {
	block, _ := pem.Decode(public)
	if block == nil {
		return errors.New("no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return errors.New("no RSA key")
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw)
}
