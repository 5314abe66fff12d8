package authz

import (
	"strings"
	"testing"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"barong/internal/account"
)

var bearer = "Bearer " + strings.Repeat("e", 600)

// readAnswer encodes d with appendResponse, holds it against toProto and returns it.
func readAnswer(t testing.TB, d *decision, o responseOptions) *authv3.CheckResponse {
	t.Helper()
	b := appendResponse([]byte("before"), d, o)
	if string(b[:6]) != "before" {
		t.Fatalf("what stood before was changed: %q", b[:6])
	}
	got := new(authv3.CheckResponse)
	if err := proto.Unmarshal(b[6:], got); err != nil {
		t.Fatalf("appendResponse(%+v): %v", d, err)
	}
	if want := toProto(d, o); !proto.Equal(got, want) {
		t.Fatalf("appendResponse(%+v)\n got %s\nwant %s", d, protojson.Format(got), protojson.Format(want))
	}
	return got
}

func setHeaders(h []*corev3.HeaderValueOption) map[string]string {
	out := map[string]string{}
	for _, o := range h {
		out[o.GetHeader().GetKey()] = o.GetHeader().GetValue()
		if o.GetAppend() != nil || //nolint:staticcheck // deprecated, and so it must stay unset
			o.GetAppendAction() != overwrite {
			out[o.GetHeader().GetKey()] += " (not overwritten)"
		}
	}
	return out
}

func TestAnswerAllow(t *testing.T) {
	const always = "jwtuid jwtrole x-http-method-override x-http-method x-method-override x-original-method " +
		"x-original-url x-original-uri x-rewrite-url"
	for name, c := range map[string]struct {
		d      decision
		set    map[string]string
		remove string
	}{
		"with a token (AZ-23)": {
			decision{bearer: bearer, cookie: cookieReplace, cookieValue: "a=1; b=2", remove: []string{"x-auth-version"}},
			map[string]string{"authorization": bearer, "cookie": "a=1; b=2"},
			"x-auth-version " + always,
		},
		"for a component what proved the caller goes (D12)": {
			decision{bearer: bearer, component: true, remove: []string{"x-auth-version"}},
			map[string]string{"authorization": bearer},
			"x-auth-apikey x-auth-nonce x-auth-signature x-csrf-token cf-connecting-ip true-client-ip x-auth-version " + always,
		},
		"without a token the client's own goes (FX-8)": {
			decision{cookie: cookieRemove}, map[string]string{},
			"authorization cookie " + always,
		},
		"a set token is never removed (D12)": {
			decision{bearer: "Bearer x", remove: []string{"authorization", "x-auth-nonce", ""}},
			map[string]string{"authorization": "Bearer x"},
			"x-auth-nonce " + always,
		},
		"a cookie that is not UTF-8 is removed": {
			decision{bearer: "Bearer x", cookie: cookieReplace, cookieValue: "a=\xff", remove: []string{"x-auth-\xff"}},
			map[string]string{"authorization": "Bearer x"},
			"cookie " + always,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.d.status = 200
			m := readAnswer(t, &c.d, responseOptions{})
			ok := m.GetOkResponse()
			if m.GetStatus().GetCode() != 0 || ok == nil {
				t.Fatalf("got %s, want an allow", protojson.Format(m))
			}
			got := setHeaders(ok.GetHeaders())
			for k, v := range c.set {
				if got[k] != v {
					t.Errorf("header %s is %q, want %q", k, got[k], v)
				}
			}
			if len(got) != len(c.set) {
				t.Errorf("headers %v, want %v", got, c.set)
			}
			if got := strings.Join(ok.GetHeadersToRemove(), " "); got != c.remove {
				t.Errorf("removes %q, want %q", got, c.remove)
			}
		})
	}
}

func TestAnswerDeny(t *testing.T) {
	const reason = "authz.invalid_session"
	base := map[string]string{"content-type": "application/json", "cache-control": "no-store"}
	for name, c := range map[string]struct {
		d       decision
		o       responseOptions
		code    int32
		status  int32
		isError bool
		more    map[string]string
	}{
		"401":                              {d: decision{status: 401}, code: 16, status: 401},
		"422":                              {d: decision{status: 422}, code: 7, status: 422},
		"a raw number (AZ-22)":             {d: decision{status: 471}, code: 7, status: 471},
		"429":                              {d: decision{status: 429}, code: 7, status: 429, more: map[string]string{"retry-after": "1"}},
		"the session cookie ends (FX-16)":  {d: decision{status: 401, clearCookie: "s=; Max-Age=0"}, code: 16, status: 401, more: map[string]string{"set-cookie": "s=; Max-Age=0"}},
		"an outage (D20)":                  {d: decision{status: 503, outage: true}, code: 14, status: 503, isError: true, more: map[string]string{"retry-after": "1"}},
		"an outage as denial (D20)":        {d: decision{status: 503, outage: true}, o: responseOptions{outageAsDenied: true}, code: 14, status: 503, more: map[string]string{"retry-after": "1"}},
		"no status is no allow (FX-61)":    {d: decision{}, code: 7, status: 403},
		"2xx is no denial (FX-23)":         {d: decision{status: 204}, code: 7, status: 403},
		"an outage is no allow (FX-61)":    {d: decision{status: 200, outage: true, bearer: "Bearer x"}, code: 14, status: 503, isError: true, more: map[string]string{"retry-after": "1"}},
		"a status beyond HTTP's (FX-61)":   {d: decision{status: 1 << 40}, code: 7, status: 403},
		"a reason is no allow (FX-61)":     {d: decision{status: 200, bearer: bearer}, code: 7, status: 403},
		"a denial does not leak its token": {d: decision{status: 401, bearer: bearer}, code: 16, status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			c.d.reason = reason
			m := readAnswer(t, &c.d, c.o)
			no := m.GetDeniedResponse()
			if c.isError {
				no = m.GetErrorResponse()
			}
			if no == nil || m.GetStatus().GetCode() != c.code || int32(no.GetStatus().GetCode()) != c.status {
				t.Fatalf("got %s, want code %d, status %d, error %v", protojson.Format(m), c.code, c.status, c.isError)
			}
			if want := `{"errors":["authz.invalid_session"]}`; no.GetBody() != want {
				t.Errorf("body %q, want %q", no.GetBody(), want)
			}
			got := setHeaders(no.GetHeaders())
			for _, want := range []map[string]string{base, c.more} {
				for k, v := range want {
					if got[k] != v {
						t.Errorf("header %s is %q, want %q", k, got[k], v)
					}
				}
			}
			if len(got) != len(base)+len(c.more) {
				t.Errorf("headers %v, want %v and %v", got, base, c.more)
			}
			if strings.Contains(m.String(), "Bearer") {
				t.Errorf("a denial shows the token: %v", m)
			}
		})
	}
}

func TestAnswerMetadata(t *testing.T) {
	d := decision{status: 401, reason: "authz.x", metadata: true, snapshot: 42, id: "D1",
		who: &account.Principal{UID: "ID123", Role: "trader"}}
	got := readAnswer(t, &d, responseOptions{}).GetDynamicMetadata().AsMap()
	want := map[string]any{"uid": "ID123", "role": "trader", "reason": "authz.x", "decision": "D1", "snapshot": 42.0}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzAppendResponse(f *testing.F) {
	f.Add(200, "", "", bearer, uint8(1), "a=b", "x-auth-apikey\nauthorization", "", "ID1", "trader", int64(7), "D1", uint8(4))
	f.Add(401, "authz.x", "", "", uint8(0), "", "", "s=; Max-Age=0", "", "", int64(0), "", uint8(0))
	f.Add(401, "authz.nonce_expired", `{"unit":"ms"}`, "", uint8(0), "", "", "", "", "", int64(0), "", uint8(0))
	f.Add(503, "authz.unavailable", strings.Repeat("x", 300), "", uint8(2), "\xff", "\xff", "", "", "", int64(-1), strings.Repeat("d", 20000), uint8(7))
	f.Fuzz(func(t *testing.T, status int, reason, detail, bearer string, fate uint8, cookie, remove, clear,
		uid, role string, snapshot int64, id string, flags uint8) {
		// These come from ourselves; only cookie and the names to remove are the client's.
		for _, s := range []string{reason, detail, bearer, clear, uid, role, id} {
			if !utf8.ValidString(s) {
				return
			}
		}
		d := decision{status: status, reason: reason, detail: detail, bearer: bearer, cookie: cookieFate(fate % 3),
			cookieValue: cookie, clearCookie: clear, snapshot: snapshot, id: id,
			outage: flags&1 != 0, metadata: flags&4 != 0, component: flags&8 != 0, remove: strings.Split(remove, "\n")}
		if uid != "" {
			d.who = &account.Principal{UID: uid, Role: role}
		}
		readAnswer(t, &d, responseOptions{outageAsDenied: flags&2 != 0})
	})
}

func usualAllow() *decision {
	return &decision{status: 200, bearer: bearer, cookie: cookieReplace, cookieValue: "theme=dark; lang=en",
		component: true, remove: []string{"x-auth-version"},
		metadata: true, snapshot: 7, who: &account.Principal{UID: "ID0123456789", Role: "member"}}
}

func TestAppendResponseAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, usualAnswer)
	for _, d := range []*decision{usualAllow(), {status: 401, reason: "authz.invalid_session", clearCookie: "s=", metadata: true}} {
		if n := testing.AllocsPerRun(100, func() { b = appendResponse(b[:0], d, responseOptions{}) }); n != 0 {
			t.Errorf("status %d: %v allocations, want 0", d.status, n)
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	d := usualAllow()
	d.metadata = false
	out := make([]byte, 0, usualAnswer)
	b.ReportAllocs()
	for b.Loop() {
		out = appendResponse(out[:0], d, responseOptions{})
	}
}
