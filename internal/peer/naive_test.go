package peer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

// naive is another verifier of the same rules, for one scope that permits alex and jeff, and that alex must
// sign: slow, and written without a look at the real one.
type naive struct {
	public map[string]any
}

func newNaive(t testing.TB, p *peertest.Peers) naive {
	n := naive{map[string]any{}}
	for id := range peertest.Signers {
		block, _ := pem.Decode([]byte(p.PublicPEM(t, id)))
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		n.public[id] = key
	}
	return n
}

func (n naive) accepts(body []byte) bool {
	message, ok := plain(body).(map[string]any)
	if !ok {
		return false
	}
	payload, ok := message["payload"].(string)
	if !ok {
		return false
	}
	signatures, ok := message["signatures"].([]any)
	if !ok || len(signatures) > 16 {
		return false
	}
	signed := map[string]bool{}
	for _, one := range signatures {
		s, ok := one.(map[string]any)
		if !ok {
			return false
		}
		sent, _ := s["protected"].(string)
		protected, ok := plain(unpadded(sent)).(map[string]any)
		if !ok {
			return false
		}
		header := map[string]any{}
		if h, there := s["header"]; there {
			if header, ok = h.(map[string]any); !ok {
				return false
			}
		}
		all := map[string]any{}
		for _, h := range []map[string]any{protected, header} {
			for name, value := range h {
				if _, twice := all[name]; twice || slices.Contains([]string{"crit", "b64", "jwk", "jku", "x5c", "x5u"}, name) {
					return false
				}
				all[name] = value
			}
		}
		kid, _ := all["kid"].(string)
		text, _ := s["signature"].(string)
		signature := unpadded(text)
		if kid == "" || signature == nil {
			return false
		}
		if kid != "alex" && kid != "jeff" {
			continue
		}
		algorithm, _ := protected["alg"].(string)
		if algorithm != peertest.Signers[kid] || !right(n.public[kid], []byte(sent+"."+payload), signature) {
			return false
		}
		signed[kid] = true
	}
	claims, ok := plain(unpadded(payload)).(map[string]any)
	if !ok || !signed["alex"] {
		return false
	}
	exp, ok := claims["exp"].(float64)
	iat, issued := claims["iat"].(float64)
	if _, there := claims["iat"]; there && !issued {
		return false
	}
	if !issued {
		iat = float64(now.Unix())
	}
	at := float64(now.Unix())
	jti, _ := claims["jti"].(string)
	return ok && exp > at && iat < at+1 && exp-iat < 301 && strings.TrimSpace(jti) != "" && len(jti) < 256
}

// right verifies a signature by a key of its one algorithm.
func right(public any, text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch k := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, text, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		return len(signature) == 64 && ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

// unpadded decodes base64url if it is the one spelling of its bytes, else nil.
func unpadded(s string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || s == "" || base64.RawURLEncoding.EncodeToString(raw) != s {
		return nil
	}
	return raw
}

// plain is one JSON value, nil for anything else and for one with a member that is there twice.
func plain(text []byte) any {
	if !json.Valid(text) || strings.ToValidUTF8(string(text), "") != string(text) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	value, ok := element(d)
	if !ok {
		return nil
	}
	return value
}

func element(d *json.Decoder) (value any, ok bool) {
	t, err := d.Token()
	if err != nil {
		return nil, false
	}
	switch t {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, false
			}
			if _, twice := object[name.(string)]; twice {
				return nil, false
			}
			if object[name.(string)], ok = element(d); !ok {
				return nil, false
			}
		}
		_, err = d.Token()
		return object, err == nil
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, ok := element(d)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err == nil
	}
	return t, true
}

// pool is messages to begin with. Their signatures are right, so that forms and claims are all that stands
// between them and acceptance.
func pool(t testing.TB, p *peertest.Peers) (all [][]byte) {
	at := now.Unix()
	for _, signers := range [][]string{{"alex"}, {"jeff"}, {"alex", "jeff"}, {"james", "alex"}, {"alex", "alex"}, {"james"}, {}} {
		all = append(all, p.Sign(t, map[string]any{"uid": "ID1"}, now, signers...))
	}
	for _, change := range []map[string]any{
		{"exp": at - 1}, {"exp": at + 301}, {"exp": "1"}, {"exp": nil}, {"iat": at + 9}, {"iat": nil}, {"jti": ""}, {"jti": 1},
		{"data": []int{1}}, {"nbf": at},
	} {
		claims := peertest.Claims(nil, now)
		for k, v := range change {
			claims[k] = v
		}
		all = append(all, p.SignClaims(t, claims, "alex"))
	}
	for _, name := range []string{"crit", "b64", "jwk", "jku", "x5c", "x5u", "typ", "kid", "alg"} {
		for _, place := range []string{"protected", "header"} {
			all = append(all, p.SignHeaders(t, peertest.Claims(nil, now), "alex", place, name, map[string]any{"kid": "alex", "alg": "EdDSA"}[name]))
		}
	}
	for _, claims := range []string{
		`{"exp":1700000030,"jti":"a","jti":"b"}`, `{"exp":1,"exp":1700000030,"jti":"a"}`, `[]`, `null`, `{"exp":1700000030,"jti":"a"} `, "{\"exp\":1700000030,\"jti\":\"\xff\"}",
	} {
		all = append(all, p.SignRaw(t, []byte(claims), "alex"))
	}
	return all
}

// mutate changes a message: its bytes, its structure, or parts of it for those of another.
func mutate(r *rand.Rand, body, other []byte) []byte {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	texts := []string{`"alg"`, `"kid"`, `"alex"`, `"jeff"`, `"james"`, `"protected"`, `"header"`, `"signature"`, `"payload"`, `"signatures"`, "[", "]", "{", "}", ",", ":", "=", `"`, "A"}
	switch r.IntN(9) {
	case 0: // a byte
		body = slices.Clone(body)
		body[r.IntN(len(body))] ^= 1 << r.IntN(8)
		return body
	case 1: // a text in or out
		at := r.IntN(len(body))
		return slices.Concat(body[:at], []byte(pick(append(texts, " ", "\n", `"x":1,`, `\u0061`)...)), body[at:])
	case 2: // a piece away
		at := r.IntN(len(body))
		return slices.Concat(body[:at], body[min(len(body), at+1+r.IntN(8)):])
	case 3: // one word for another
		return bytes.Replace(body, []byte(pick(texts...)), []byte(pick(texts...)), 1)
	}
	var m, o map[string]any
	if json.Unmarshal(body, &m) != nil || json.Unmarshal(other, &o) != nil {
		return body
	}
	list, _ := m["signatures"].([]any)
	more, _ := o["signatures"].([]any)
	var first map[string]any
	if len(list) > 0 {
		first, _ = list[r.IntN(len(list))].(map[string]any)
	}
	switch r.IntN(8) {
	case 0: // signatures of another payload
		m["signatures"] = append(list, more...)
	case 1: // one less, or in another order
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		m["signatures"] = list[:r.IntN(len(list)+1)]
	case 2: // the payload of another
		m["payload"] = o["payload"]
	case 3: // the same one again and again
		if first != nil {
			m["signatures"] = append(list, slices.Repeat([]any{first}, r.IntN(17))...)
		}
	case 4: // another algorithm or header
		if first != nil {
			first["protected"] = base64.RawURLEncoding.EncodeToString([]byte(pick(`{"alg":"none"}`, `{"alg":"HS256"}`, `{"alg":"ES256"}`, `{"alg":"RS256"}`, `{"alg":"EdDSA","crit":[]}`, `{}`, `[]`, `{"alg":"EdDSA","alg":"EdDSA"}`)))
		}
	case 5: // another name
		if first != nil {
			first["header"] = map[string]any{"kid": pick("alex", "jeff", "james", "nobody", "")}
		}
	case 6: // a member in another place
		if first != nil {
			from, to := pick("payload", "protected", "header", "signature", "kid", "x"), pick("payload", "protected", "header", "signature", "kid", "x")
			if r.IntN(2) == 0 {
				m[to] = first[from]
			} else {
				first[to] = m[from]
			}
		}
	case 7: // padding, or another alphabet
		if first != nil {
			name := pick("protected", "signature")
			text, _ := first[name].(string)
			first[name] = pick(text+"=", text+"==", strings.NewReplacer("-", "+", "_", "/").Replace(text), text+"\n", " "+text, text+"A")
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return body
	}
	return text
}

func parsed(t testing.TB, p *peertest.Peers) peer.File {
	t.Helper()
	f, err := peer.Parse([]byte(p.Text(t, "{}", call)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fresh is a verifier that has seen nothing.
func fresh(t testing.TB, f peer.File) *peer.Verifier {
	t.Helper()
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayEnforce}, f, new(peertest.Memory), clock)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The verifier may refuse more than the naive one, and may accept nothing that it refuses.
func TestNothingIsAcceptedThatTheNaiveVerifierRefuses(t *testing.T) {
	p := peertest.New(t)
	file, other := parsed(t, p), newNaive(t, p)
	messages := pool(t, p)
	r := rand.New(rand.NewPCG(1, 2))
	accepted, naively := 0, 0
	for round := range rounds {
		body := messages[r.IntN(len(messages))]
		for range 1 + r.IntN(3) {
			if len(body) > 0 {
				body = mutate(r, body, messages[r.IntN(len(messages))])
			}
		}
		fine := other.accepts(body)
		_, err := fresh(t, file).Verify(context.Background(), request(body))
		if fine {
			naively++
		}
		if err == nil {
			if accepted++; !fine {
				t.Fatalf("round %d: accepted, but the naive verifier refuses: %s", round, body)
			}
		} else if fine {
			t.Errorf("round %d: refused (%v), but the naive verifier accepts: %s", round, err, body)
		}
	}
	if accepted < rounds/100 {
		t.Errorf("%d of %d messages were accepted: too few to mean anything", accepted, rounds)
	}
	t.Logf("%d messages: %d accepted, %d by the naive verifier", rounds, accepted, naively)
}

func FuzzVerify(f *testing.F) {
	p := peertest.New(f)
	file, other := parsed(f, p), newNaive(f, p)
	for _, body := range pool(f, p) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := fresh(t, file).Verify(t.Context(), request(body)); err == nil && !other.accepts(body) {
			t.Errorf("accepted, but the naive verifier refuses: %s", body)
		}
	})
}
