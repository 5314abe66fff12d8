package token

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"barong/internal/hostile"
)

// Refusing anything presented as a token costs as much as its length: bearer and mail
// tokens, ID tokens, key sets, events of other services.
func TestTokenTimeIsLinear(t *testing.T) {
	m, k, _, now := fixture(t, EdDSA)
	at := now.now()
	good := mint(t, m, user(), at)
	parts := strings.Split(good, ".")
	compact := hostile.Grammar{
		Words: []string{parts[0] + ".", parts[1] + ".", "e30"}, Marks: []string{".", "=", "\n", "_", "A"}, Longest: 32 << 10,
	}
	json := hostile.Grammar{Words: []string{`"a":1`, `{"kid":"a"}`}, Marks: []string{",", ":", `"`, `\`, " ", "0"}, Longest: 32 << 10}
	inside := func(read func(string)) func(string) { // the text as the header and as the claims
		return func(text string) {
			coded := base64.RawURLEncoding.EncodeToString([]byte(text))
			read(coded + "." + parts[1] + ".")
			read(parts[0] + "." + coded + ".")
		}
	}
	private := signers[EdDSA]()
	key := must(ParseForeignKey("peatio", EdDSA, publicPEM(private)))
	set := providerSet()
	bearer := func(text string) { _, _ = m.Verify(text, at) }
	mail := func(text string) { _, _ = k.VerifyMail(text, Reset, at) }
	id := func(text string) { _, _ = set.VerifyIDToken(text, idIssuer, idAudience, idNow) }
	for name, of := range map[string]struct {
		hostile.Grammar
		read func(string)
	}{
		"bearer":                   {compact, bearer},
		"bearer, header, claims":   {json, inside(bearer)},
		"mail":                     {compact, mail},
		"mail, header, claims":     {json, inside(mail)},
		"ID token":                 {compact, id},
		"ID token, header, claims": {json, inside(id)},
		"event":                    {json, func(text string) { _, _ = VerifyForeignEvent([]byte(text), key, time.Unix(1_700_000_000, 0)) }},
		"event, signatures": {hostile.Grammar{
			Head: `{"payload":"e30","signatures":[`, Tail: `]}`, Longest: 32 << 10,
			Words: []string{`{"protected":"e30","header":{"kid":"peatio"},"signature":""},`}, Marks: []string{",", `"`, " ", "{}"},
		}, func(text string) { _, _ = VerifyForeignEvent([]byte(text), key, time.Unix(1_700_000_000, 0)) }},
		"key set": {json, func(text string) { _, _ = ParseKeySet([]byte(text)) }},
	} {
		t.Run(name, func(t *testing.T) { hostile.Linear(t, of.Grammar, of.read) })
	}
}
