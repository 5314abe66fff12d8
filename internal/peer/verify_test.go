package peer_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

var now = time.Unix(1_700_000_000, 0)

func clock() time.Time { return now }

const call = "tools"

func request(body []byte) peer.Request {
	return peer.Request{Scope: call, Method: "POST", Path: "/timestamp", Body: body}
}

// verify calls Verify of a verifier that has seen nothing.
func verify(t *testing.T, p *peertest.Peers, replay string, body []byte) (peer.Message, error) {
	t.Helper()
	return p.Verifier(t, replay, clock, call).Verify(t.Context(), request(body))
}

// Signers are counted, not signatures.
func TestSignersOfAScopeAreCounted(t *testing.T) {
	p := peertest.New(t)
	p.Add(t, "stranger", "EdDSA")
	other := peertest.New(t) // the same names, other keys
	sign := func(p *peertest.Peers, signers ...string) []byte {
		return p.Sign(t, map[string]any{"a": 1}, now, signers...)
	}
	for name, c := range map[string]struct {
		body []byte
		want error
		who  string
	}{
		"the mandatory signer":                           {sign(p, "alex"), nil, "alex"},
		"and a permitted one":                            {sign(p, "jeff", "alex"), nil, "alex jeff"},
		"one of them twice":                              {sign(p, "alex", "alex"), nil, "alex"},
		"a signer that the scope does not permit":        {sign(p, "james", "alex"), nil, "alex"},
		"a signer that nobody knows":                     {sign(p, "alex", "stranger"), nil, "alex"},
		"a wrong signature of one that is not permitted": {splice(t, sign(p, "alex"), sign(other, "james")), nil, "alex"},
		"without the mandatory one":                      {sign(p, "jeff"), peer.ErrSignatures, ""},
		"not enough, as in the reference's tests":        {sign(p, "james", "jeff"), peer.ErrSignatures, ""},
		"nobody": {sign(p), peer.ErrSignatures, ""},
		"another key of the mandatory one's name":    {sign(other, "alex"), peer.ErrUnverified, ""},
		"a wrong signature of a permitted one":       {splice(t, sign(p, "alex"), sign(other, "jeff")), peer.ErrUnverified, ""},
		"a right and a wrong one of the same signer": {splice(t, sign(p, "alex"), sign(other, "alex")), peer.ErrUnverified, ""},
	} {
		m, err := verify(t, p, peer.ReplayEnforce, c.body)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if got := strings.Join(m.Signers, " "); got != c.who {
			t.Errorf("%s: signers %q, want %q", name, got, c.who)
		}
		if err == nil && (string(m.Data) != `{"a":1}` || m.ID == "") {
			t.Errorf("%s: data %s, id %q", name, m.Data, m.ID)
		}
	}
}

// splice puts the signatures of one message, over another payload, behind those of the other.
func splice(t *testing.T, body, other []byte) []byte {
	t.Helper()
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal(body, &a), json.Unmarshal(other, &b)); err != nil {
		t.Fatal(err)
	}
	a["signatures"] = append(a["signatures"].([]any), b["signatures"].([]any)...)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryAlgorithmVerifiesAndNoOtherDoes(t *testing.T) {
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"} {
		p := peertest.New(t)
		p.Add(t, "alex", algorithm)
		body := p.Sign(t, nil, now, "alex")
		if _, err := verify(t, p, peer.ReplayEnforce, body); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		for _, claimed := range []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "PS256", "none", ""} {
			if claimed == algorithm {
				continue
			}
			changed := edit(t, body, func(_ map[string]any, s map[string]any) { s["protected"] = encode(`{"alg":"` + claimed + `"}`) })
			if _, err := verify(t, p, peer.ReplayEnforce, changed); !errors.Is(err, peer.ErrUnverified) {
				t.Errorf("%s that says %q: %v, want ErrUnverified", algorithm, claimed, err)
			}
		}
	}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// edit changes a message and its first signature.
func edit(t *testing.T, body []byte, f func(message, first map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	f(m, m["signatures"].([]any)[0].(map[string]any))
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFormOfAMessage(t *testing.T) {
	p := peertest.New(t)
	fine := p.Sign(t, nil, now, "alex")
	replace := func(old, new string) []byte { return []byte(strings.Replace(string(fine), old, new, 1)) }
	member := func(f func(m, s map[string]any)) []byte { return edit(t, fine, f) }
	protected := func(h string) []byte {
		return member(func(_, s map[string]any) { s["protected"] = encode(h) })
	}
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"as it is":                  {fine, nil},
		"an unknown member":         {member(func(m, _ map[string]any) { m["x"] = 1 }), nil},
		"an unknown header member":  {member(func(_, s map[string]any) { s["header"].(map[string]any)["typ"] = "JWT" }), nil},
		"white space around it":     {[]byte(" " + string(fine) + "\n"), nil},
		"nothing":                   {nil, peer.ErrUnreadable},
		"a compact JWS":             {[]byte("a.b.c"), peer.ErrUnreadable},
		"half of it":                {fine[:len(fine)/2], peer.ErrUnreadable},
		"two of them":               {slices.Concat(fine, fine), peer.ErrUnreadable},
		"bytes that are not UTF-8":  {replace(`{"payload"`, "{\"\xff\":1,\"payload\""), peer.ErrUnreadable},
		"a list":                    {[]byte("[]"), peer.ErrUnverified},
		"null":                      {[]byte("null"), peer.ErrUnverified},
		"no payload":                {member(func(m, _ map[string]any) { delete(m, "payload") }), peer.ErrUnverified},
		"a payload that is null":    {member(func(m, _ map[string]any) { m["payload"] = nil }), peer.ErrUnverified},
		"a payload that is no text": {member(func(m, _ map[string]any) { m["payload"] = map[string]any{} }), peer.ErrUnverified},
		"other letters in a name":   {replace(`"payload"`, `"Payload"`), peer.ErrUnverified},
		"no signatures":             {member(func(m, _ map[string]any) { delete(m, "signatures") }), peer.ErrUnverified},
		"signatures that are null":  {member(func(m, _ map[string]any) { m["signatures"] = nil }), peer.ErrUnverified},
		"an empty list":             {member(func(m, _ map[string]any) { m["signatures"] = []any{} }), peer.ErrSignatures},
		"a signature that is null":  {member(func(m, _ map[string]any) { m["signatures"] = []any{nil} }), peer.ErrUnverified},
		"17 signatures":             {member(func(m, s map[string]any) { m["signatures"] = slices.Repeat([]any{s}, 17) }), peer.ErrUnverified},
		"16 signatures":             {member(func(m, s map[string]any) { m["signatures"] = slices.Repeat([]any{s}, 16) }), nil},
		"no kid":                    {member(func(_, s map[string]any) { s["header"] = map[string]any{} }), peer.ErrUnverified},
		"no header":                 {member(func(_, s map[string]any) { delete(s, "header") }), peer.ErrUnverified},
		"a header that is a text":   {member(func(_, s map[string]any) { s["header"] = "x" }), peer.ErrUnverified},
		"no protected header":       {member(func(_, s map[string]any) { delete(s, "protected") }), peer.ErrUnverified},
		"no signature":              {member(func(_, s map[string]any) { delete(s, "signature") }), peer.ErrUnverified},
		"an empty signature":        {member(func(_, s map[string]any) { s["signature"] = "" }), peer.ErrUnverified},
		"an algorithm beside": {member(func(_, s map[string]any) {
			s["protected"] = encode(`{}`)
			s["header"].(map[string]any)["alg"] = "EdDSA"
		}), peer.ErrUnverified},
		"an algorithm in both":      {member(func(_, s map[string]any) { s["header"].(map[string]any)["alg"] = "EdDSA" }), peer.ErrUnverified},
		"a header of 3 KiB":         {member(func(_, s map[string]any) { s["header"].(map[string]any)["x"] = strings.Repeat("x", 3<<10) }), peer.ErrUnverified},
		"a kid twice":               {replace(`"kid":"alex"`, `"kid":"jeff","kid":"alex"`), peer.ErrUnverified},
		"a kid twice, once escaped": {replace(`"kid":"alex"`, `"kid":"jeff","\u006bid":"alex"`), peer.ErrUnverified},
		"a payload twice":           {replace(`{"payload"`, `{"payload":"","payload"`), peer.ErrUnverified},
		"an unknown member twice":   {replace(`{"payload"`, `{"x":1,"x":2,"payload"`), peer.ErrUnverified},
		"a padded payload":          {replace(`","signatures"`, `=","signatures"`), peer.ErrUnverified},
		"a padded signature":        {replace(`"}]}`, `=="}]}`), peer.ErrUnverified},
		"a line end in a signature": {replace(`"}]}`, `\n"}]}`), peer.ErrUnverified},
		"an alg twice":              {protected(`{"alg":"none","alg":"EdDSA"}`), peer.ErrUnverified},
		"a padded protected header": {member(func(_, s map[string]any) { s["protected"] = s["protected"].(string) + "=" }), peer.ErrUnverified},
	} {
		_, err := verify(t, p, peer.ReplayEnforce, c.body)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A right signature over them does not help.
func TestHeaderMembersThatAreRefused(t *testing.T) {
	p := peertest.New(t)
	for name, value := range map[string]any{
		"crit": []string{"b64"}, "b64": false, "jwk": map[string]any{}, "jku": "https://example.com",
		"x5c": []string{}, "x5u": "https://example.com",
	} {
		for _, place := range []string{"protected", "header"} {
			body := p.SignHeaders(t, peertest.Claims(nil, now), "alex", place, name, value)
			if _, err := verify(t, p, peer.ReplayEnforce, body); !errors.Is(err, peer.ErrUnverified) {
				t.Errorf("%s in %s: %v, want ErrUnverified", name, place, err)
			}
		}
	}
	for _, place := range []string{"protected", "header"} { // the test can tell
		if _, err := verify(t, p, peer.ReplayEnforce, p.SignHeaders(t, peertest.Claims(nil, now), "alex", place, "typ", "JWT")); err != nil {
			t.Errorf("typ in %s: %v", place, err)
		}
	}
}

func TestKidMayBeProtected(t *testing.T) {
	p := peertest.New(t)
	body := edit(t, p.SignHeaders(t, peertest.Claims(nil, now), "alex", "protected", "kid", "alex"),
		func(_, s map[string]any) { delete(s, "header") })
	m, err := verify(t, p, peer.ReplayEnforce, body)
	if err != nil || !slices.Equal(m.Signers, []string{"alex"}) {
		t.Errorf("signers %v, %v", m.Signers, err)
	}
	both := p.SignHeaders(t, peertest.Claims(nil, now), "alex", "protected", "kid", "alex")
	if _, err := verify(t, p, peer.ReplayEnforce, both); !errors.Is(err, peer.ErrUnverified) {
		t.Errorf("in both headers: %v, want ErrUnverified", err)
	}
}

func TestClaims(t *testing.T) {
	p := peertest.New(t)
	at := now.Unix()
	for name, c := range map[string]struct {
		change       map[string]any // nil deletes
		enforce, off error
	}{
		"as they are":                      {nil, nil, nil},
		"M5: expired a minute ago":         {map[string]any{"exp": at - 60, "iat": at - 90}, peer.ErrUnverified, peer.ErrUnverified},
		"expires now":                      {map[string]any{"exp": at}, peer.ErrUnverified, peer.ErrUnverified},
		"no exp":                           {map[string]any{"exp": nil}, peer.ErrUnverified, nil},
		"an exp that is null":              {map[string]any{"exp": json.RawMessage("null")}, peer.ErrUnverified, peer.ErrUnverified},
		"an exp that is a text":            {map[string]any{"exp": fmt.Sprint(at + 30)}, peer.ErrUnverified, peer.ErrUnverified},
		"an exp beyond any date":           {map[string]any{"exp": 1e300}, peer.ErrUnverified, peer.ErrUnverified},
		"lives 300 seconds":                {map[string]any{"exp": at + 300}, nil, nil},
		"lives 301 seconds":                {map[string]any{"exp": at + 301}, peer.ErrUnverified, nil},
		"lived 301 seconds when it began":  {map[string]any{"iat": at - 280, "exp": at + 21}, peer.ErrUnverified, nil},
		"lives 300 seconds without iat":    {map[string]any{"exp": at + 300, "iat": nil}, nil, nil},
		"lives 301 seconds without iat":    {map[string]any{"exp": at + 301, "iat": nil}, peer.ErrUnverified, nil},
		"M11: begins in 200 seconds":       {map[string]any{"iat": at + 200, "exp": at + 230}, peer.ErrUnverified, nil},
		"M12: began 3 seconds ago":         {map[string]any{"iat": at - 3}, nil, nil},
		"an iat that is a text":            {map[string]any{"iat": "1"}, peer.ErrUnverified, nil},
		"not before the next minute":       {map[string]any{"nbf": at + 60}, peer.ErrUnverified, peer.ErrUnverified},
		"not before now":                   {map[string]any{"nbf": at}, nil, nil},
		"M10: no jti":                      {map[string]any{"jti": nil}, peer.ErrUnverified, nil},
		"a blank jti":                      {map[string]any{"jti": " "}, peer.ErrUnverified, nil},
		"a jti that is a number":           {map[string]any{"jti": 7}, peer.ErrUnverified, nil},
		"a jti of 256 bytes":               {map[string]any{"jti": strings.Repeat("j", 256)}, peer.ErrUnverified, nil},
		"bound to this call":               {map[string]any{"method": "POST", "path": "/timestamp"}, nil, nil},
		"bound to it by the whole path":    {map[string]any{"path": "/api/v2/barong/management/timestamp"}, nil, nil},
		"bound to another path":            {map[string]any{"path": "/labels"}, peer.ErrUnverified, peer.ErrUnverified},
		"bound to another method":          {map[string]any{"method": "PUT"}, peer.ErrUnverified, peer.ErrUnverified},
		"bound to a path that is no text":  {map[string]any{"path": []string{"/timestamp"}}, peer.ErrUnverified, peer.ErrUnverified},
		"issuers verify nothing by itself": {map[string]any{"iss": "other"}, nil, nil},
	} {
		claims := peertest.Claims(nil, now)
		for k, v := range c.change {
			if v == nil {
				delete(claims, k)
			} else {
				claims[k] = v
			}
		}
		for replay, want := range map[string]error{peer.ReplayEnforce: c.enforce, peer.ReplayOff: c.off} {
			if _, err := verify(t, p, replay, p.SignClaims(t, claims, "alex")); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s, replay %s: %v, want %v", name, replay, err, want)
			}
		}
	}
	if _, err := verify(t, p, peer.ReplayOff, p.SignClaims(t, []int{1}, "alex")); !errors.Is(err, peer.ErrUnverified) {
		t.Errorf("a payload that is a list: %v", err)
	}
	twice := json.RawMessage(`{"exp":1700000030,"jti":"a","data":{"uid":"1","uid":"2"}}`)
	if _, err := verify(t, p, peer.ReplayOff, p.SignRaw(t, twice, "alex")); !errors.Is(err, peer.ErrUnverified) {
		t.Errorf("a member that is there twice: %v", err)
	}
}

// The options of the key jwt.
func TestOptionsOfTheFile(t *testing.T) {
	p := peertest.New(t)
	at := now.Unix()
	for name, c := range map[string]struct {
		jwt    string
		change map[string]any
		want   error
	}{
		"M6: the issuer":                {"{verify_iss: true, iss: a}", map[string]any{"iss": "a"}, nil},
		"M7: another issuer":            {"{verify_iss: true, iss: a}", map[string]any{"iss": "b"}, peer.ErrUnverified},
		"one of the issuers":            {"{verify_iss: true, iss: [a, b]}", map[string]any{"iss": "b"}, nil},
		"a list is no issuer":           {"{verify_iss: true, iss: [a, b]}", map[string]any{"iss": []string{"b"}}, peer.ErrUnverified},
		"no issuer":                     {"{verify_iss: true, iss: a}", nil, peer.ErrUnverified},
		"an issuer that is not asked":   {"{iss: a}", map[string]any{"iss": "b"}, nil},
		"M8: an audience":               {"{verify_aud: true, aud: [x, y]}", map[string]any{"aud": []string{"y", "z"}}, nil},
		"M9: another audience":          {"{verify_aud: true, aud: x}", map[string]any{"aud": "z"}, peer.ErrUnverified},
		"the subject":                   {"{verify_sub: true, sub: s}", map[string]any{"sub": "s"}, nil},
		"another subject":               {"{verify_sub: true, sub: s}", map[string]any{"sub": "t"}, peer.ErrUnverified},
		"leeway for exp":                {"{leeway: 5}", map[string]any{"exp": at - 4}, nil},
		"more than the leeway":          {"{leeway: 5}", map[string]any{"exp": at - 5}, peer.ErrUnverified},
		"its own leeway":                {"{leeway: 5, exp_leeway: 1}", map[string]any{"exp": at - 4}, peer.ErrUnverified},
		"leeway for nbf":                {"{nbf_leeway: 5}", map[string]any{"nbf": at + 5}, nil},
		"leeway is not for iat":         {"{leeway: 5, verify_iat: true}", map[string]any{"iat": at + 1}, peer.ErrUnverified},
		"leeway for iat":                {"{iat_leeway: 5, verify_iat: true}", map[string]any{"iat": at + 5}, nil},
		"expiration that is not looked": {"{verify_expiration: false}", map[string]any{"exp": at - 500}, nil},
		"not before, not looked at":     {"{verify_not_before: false}", map[string]any{"nbf": at + 500}, nil},
		"an id that is wanted":          {"{verify_jti: true}", map[string]any{"jti": nil}, peer.ErrUnverified},
		"an exp that is wanted":         {"{require_exp: true}", map[string]any{"exp": nil}, peer.ErrUnverified},
		"a life that is too long":       {"{max_lifetime: 20}", nil, peer.ErrUnverified},
	} {
		f, err := peer.Parse([]byte(p.Text(t, c.jwt, call)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayOff}, f, new(peertest.Memory), clock)
		if err != nil {
			t.Fatal(err)
		}
		claims := peertest.Claims(nil, now)
		maps.Copy(claims, c.change)
		for k, x := range c.change {
			if x == nil {
				delete(claims, k)
			}
		}
		if _, err := v.Verify(t.Context(), request(p.SignClaims(t, claims, "alex"))); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAMessageIsUsedOnce(t *testing.T) {
	p := peertest.New(t)
	v := p.Verifier(t, peer.ReplayEnforce, clock, call, "other")
	body := p.Sign(t, nil, now, "alex", "jeff")
	use := func(v *peer.Verifier, scope string, body []byte) error {
		_, err := v.Verify(t.Context(), peer.Request{Scope: scope, Method: "POST", Path: "/timestamp", Body: body})
		return err
	}
	// Refused for other reasons, it is not used up.
	if err := use(v, "unknown", body); !errors.Is(err, peer.ErrUnverified) {
		t.Errorf("a scope that nobody configured: %v", err)
	}
	short := edit(t, body, func(m, _ map[string]any) { m["signatures"] = m["signatures"].([]any)[1:] })
	if err := use(v, call, short); !errors.Is(err, peer.ErrSignatures) {
		t.Errorf("without the mandatory signature: %v", err)
	}
	if err := use(v, call, body); err != nil {
		t.Fatalf("the first use: %v", err)
	}
	stripped := edit(t, body, func(m, _ map[string]any) { m["signatures"] = m["signatures"].([]any)[:1] })
	spaced := []byte(" " + string(body))
	for name, again := range map[string][]byte{"the same": body, "with fewer signatures": stripped, "with white space": spaced} {
		for _, scope := range []string{call, "other"} {
			if err := use(v, scope, again); !errors.Is(err, peer.ErrReplayed) || !errors.Is(err, peer.ErrUnverified) {
				t.Errorf("%s, scope %s: %v, want ErrReplayed", name, scope, err)
			}
		}
	}
	claims := peertest.Claims(nil, now)
	if err := use(v, call, p.SignClaims(t, claims, "alex")); err != nil {
		t.Fatal(err)
	}
	claims["data"] = map[string]any{"another": "payload"}
	if err := use(v, call, p.SignClaims(t, claims, "alex")); !errors.Is(err, peer.ErrReplayed) {
		t.Errorf("another payload of the same id: %v, want ErrReplayed", err)
	}
	off := p.Verifier(t, peer.ReplayOff, clock, call)
	if err := errors.Join(use(off, call, body), use(off, call, body)); err != nil {
		t.Errorf("replay off: %v", err)
	}
}

func TestOfUsesAtOnceOneWins(t *testing.T) {
	p := peertest.New(t)
	v := p.Verifier(t, peer.ReplayEnforce, clock, call)
	body := p.Sign(t, nil, now, "alex")
	var mu sync.Mutex
	won := 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := v.Verify(context.Background(), request(body)); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d uses won, want 1", won)
	}
}

func TestAnOutageIsNoRefusal(t *testing.T) {
	p := peertest.New(t)
	f, err := peer.Parse([]byte(p.Text(t, "{}", call)))
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayEnforce}, f, &peertest.Memory{Err: away}, clock)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), request(p.Sign(t, nil, now, "alex")))
	if !errors.Is(err, away) || errors.Is(err, peer.ErrUnverified) || errors.Is(err, peer.ErrSignatures) {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestAllowsJudgesAnotherScope(t *testing.T) {
	p := peertest.New(t)
	text := p.Text(t, "{}", call) + "  write_roles: {permitted_signers: [james, jeff], mandatory_signers: [james]}\n"
	f, err := peer.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayEnforce}, f, new(peertest.Memory), clock)
	if err != nil {
		t.Fatal(err)
	}
	for signers, want := range map[string]error{
		"alex james": nil, "alex": peer.ErrSignatures, "alex jeff": peer.ErrSignatures,
	} {
		m, err := v.Verify(t.Context(), request(p.Sign(t, nil, now, strings.Fields(signers)...)))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it uses nothing up
			if err := m.Allows("write_roles"); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s: %v, want %v", signers, err, want)
			}
		}
		if err := m.Allows("unknown"); !errors.Is(err, peer.ErrUnverified) {
			t.Errorf("a scope that nobody configured: %v", err)
		}
	}
	if err := (peer.Message{}).Allows("write_roles"); !errors.Is(err, peer.ErrUnverified) {
		t.Errorf("no message: %v", err)
	}
}

func TestMinSigners(t *testing.T) {
	p := peertest.New(t)
	text := p.Text(t, "{}") // no scopes
	text = strings.Replace(text, "  {}\n", "  tools: {permitted_signers: [alex, jeff, james], mandatory_signers: [alex], min_signers: 2}\n", 1)
	f, err := peer.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayEnforce}, f, new(peertest.Memory), clock)
	if err != nil {
		t.Fatal(err)
	}
	for signers, want := range map[string]error{
		"alex jeff": nil, "james alex": nil, "alex": peer.ErrSignatures, "alex alex": peer.ErrSignatures, "jeff james": peer.ErrSignatures,
	} {
		_, err := v.Verify(t.Context(), request(p.Sign(t, nil, now, strings.Fields(signers)...)))
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", signers, err, want)
		}
	}
}

// A claim data that is no object means no parameters.
func TestData(t *testing.T) {
	p := peertest.New(t)
	for _, c := range []struct {
		data any
		want string
	}{{map[string]any{"uid": "ID1"}, `{"uid":"ID1"}`}, {nil, "{}"}, {"text", "{}"}, {[]int{1}, "{}"}, {7, "{}"}} {
		m, err := verify(t, p, peer.ReplayEnforce, p.Sign(t, c.data, now, "alex"))
		if err != nil || string(m.Data) != c.want {
			t.Errorf("%v: data %s, %v; want %s", c.data, m.Data, err, c.want)
		}
		if s := fmt.Sprintf("%v %+v %#v", m, m, m); strings.Contains(s, "uid") {
			t.Errorf("printing it shows the data: %s", s)
		}
	}
}
