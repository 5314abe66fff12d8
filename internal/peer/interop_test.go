package peer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

// keychain is a file whose scope every one of the keys, PEM by id, must sign.
func keychain(t *testing.T, keys, algorithms map[string]string) peer.File {
	t.Helper()
	var text strings.Builder
	var ids []string
	text.WriteString("keychain:\n")
	for id, key := range keys {
		ids = append(ids, id)
		fmt.Fprintf(&text, "  %q: {algorithm: %s, value: %s}\n", id, algorithms[id], base64.URLEncoding.EncodeToString([]byte(key)))
	}
	list := `["` + strings.Join(ids, `", "`) + `"]`
	fmt.Fprintf(&text, "jwt: {}\nscopes:\n  tools: {permitted_signers: %s, mandatory_signers: %s}\n", list, list)
	f, err := peer.Parse([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Bodies that other libraries have signed, by each algorithm.
func TestBodiesOfOtherLibrariesAreAccepted(t *testing.T) {
	paths, err := filepath.Glob("testdata/interop/*.json")
	if err != nil || len(paths) != 2 {
		t.Fatalf("%d fixtures, %v; want 2", len(paths), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var fixture struct {
			Keys map[string]string // by algorithm
			Body string
		}
		if err := json.Unmarshal(text, &fixture); err != nil {
			t.Fatal(err)
		}
		keys, algorithms := map[string]string{}, map[string]string{}
		for algorithm, key := range fixture.Keys {
			id := strings.ToLower(algorithm) + ".example"
			keys[id], algorithms[id] = key, algorithm
		}
		v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayEnforce}, keychain(t, keys, algorithms), new(peertest.Memory), clock)
		if err != nil {
			t.Fatal(err)
		}
		m, err := v.Verify(t.Context(), request([]byte(fixture.Body)))
		if err != nil || len(m.Signers) != 7 {
			t.Errorf("%s: %d signers, %v; want 7", path, len(m.Signers), err)
		}
		var data struct{ UID, Note string }
		if err := json.Unmarshal(m.Data, &data); err != nil || data.UID != "ID0000000001" || data.Note != "Überweisung" {
			t.Errorf("%s: data %s, %v", path, m.Data, err)
		}
	}
}

// RFC 7515, appendix A.6, which the documentation of the Ruby gem jwt-multisig quotes as its layout.
func TestDocumentedExampleIsAccepted(t *testing.T) {
	const body = `{
  "payload": "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
  "signatures": [
    {"protected": "eyJhbGciOiJSUzI1NiJ9",
     "header": {"kid": "2010-12-29"},
     "signature": "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {"protected": "eyJhbGciOiJFUzI1NiJ9",
     "header": {"kid": "e9bc097a-ce51-4036-9562-d2ade882db0d"},
     "signature": "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"}
  ]
}`
	number := func(s string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(raw)
	}
	public := func(k any) string {
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	point := slices.Concat([]byte{4}, number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").Bytes(),
		number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").Bytes())
	curve, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{
		"2010-12-29":                           public(&rsa.PublicKey{E: 65537, N: number("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")}),
		"e9bc097a-ce51-4036-9562-d2ade882db0d": public(curve),
	}
	f := keychain(t, keys, map[string]string{"2010-12-29": "RS256", "e9bc097a-ce51-4036-9562-d2ade882db0d": "ES256"})
	then := func() time.Time { return time.Unix(1300819379, 0) }
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayOff}, f, new(peertest.Memory), then)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := v.Verify(t.Context(), request([]byte(body))); err != nil || len(m.Signers) != 2 {
		t.Errorf("signers %v, %v; want 2", m.Signers, err)
	}
}
