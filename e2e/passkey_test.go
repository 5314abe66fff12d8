package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"barong/e2e"
)

// passkeyPage is the part of a page: each step is one request or one question to the browser, by the
// calls that docs/passkeys.md shows.
const passkeyPage = `(async () => {
	const done = [];
	let csrf = "";
	const call = async (method, path, body) => {
		const headers = { "Content-Type": "application/json" };
		if (csrf) headers["X-CSRF-Token"] = csrf;
		const answer = await fetch("/api/v2/" + path, { method, headers, body: body && JSON.stringify(body) });
		const text = await answer.text();
		done.push(method + " " + path.replace(/[0-9a-f-]{36}/, "ID") + " " + answer.status + (answer.ok ? "" : " " + text));
		return text ? JSON.parse(text) : null;
	};
	const login = { email: %q, password: %q };
	csrf = (await call("POST", "identity/sessions", login)).csrf_token;
	const began = await call("POST", "resource/passkeys/begin", { password: login.password });
	const made = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(began.publicKey) });
	const passkey = await call("POST", "resource/passkeys", { credential: made.toJSON(), name: "this browser" });
	await call("DELETE", "identity/sessions");
	csrf = "";
	await call("POST", "identity/sessions", login);
	const asked = await call("POST", "identity/sessions/passkey/begin");
	const shown = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked.publicKey) });
	csrf = (await call("POST", "identity/sessions/passkey", { credential: shown.toJSON() })).csrf_token;
	await call("POST", "identity/sessions/passkey", { credential: shown.toJSON() });
	const me = await call("GET", "resource/users/me");
	const list = await call("GET", "resource/passkeys");
	done.push(me.email + " " + list.length + " " + list[0].name + " " + (list[0].last_used_at !== null));
	await call("DELETE", "resource/passkeys/" + passkey.id, { password: login.password });
	await call("GET", "resource/passkeys");
	return JSON.stringify(done);
})()`

// A passkey of a real browser, made and shown on http://localhost by the embedded defaults, signs its
// user in, and the password alone does not.
func TestPasskeyInABrowser(t *testing.T) {
	chromium := browser(t)
	at, err := e2e.FreeAddresses()
	must(t, err)
	dir := t.TempDir()
	bin := barongBin(t)
	env := []string{"BARONG_GATE=embedded", "BARONG_DATABASE_URL=sqlite:" + dir + "/barong.db"}
	create := exec.CommandContext(t.Context(), bin, "users", "create", "--email", staffEmail, "--role", "superadmin", "--level", "1")
	create.Env, create.Dir, create.Stdin = env[1:], dir, strings.NewReader(staffPassword+"\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("users create: %v\n%s", err, out)
	}
	barong, err := e2e.StartBarong(t.Context(), bin, dir, at, env...)
	must(t, err)
	t.Cleanup(func() { barong.Stop() })

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	_, port, err := net.SplitHostPort(at.HTTP)
	must(t, err)
	must(t, chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
			Options: &webauthn.VirtualAuthenticatorOptions{
				Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
				HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			},
		})
		return err
	}), chromedp.Navigate("http://localhost:"+port+"/api/v2/identity/ping")))
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(passkeyPage, staffEmail, staffPassword), chromedp.EvalAwaitPromise))
	must(t, err)
	var done []string
	must(t, json.Unmarshal([]byte(text), &done))
	want := []string{
		"POST identity/sessions 201",
		"POST resource/passkeys/begin 201",
		"POST resource/passkeys 201",
		"DELETE identity/sessions 204",
		`POST identity/sessions 401 {"errors":["identity.session.missing_otp"]}`,
		"POST identity/sessions/passkey/begin 201",
		"POST identity/sessions/passkey 201",
		`POST identity/sessions/passkey 422 {"errors":["identity.session.challenge_expired"]}`,
		"GET resource/users/me 200",
		"GET resource/passkeys 200",
		staffEmail + " 1 this browser true",
		"DELETE resource/passkeys/ID 204",
		"GET resource/passkeys 200",
	}
	for i := range max(len(want), len(done)) {
		got, expected := "nothing", "nothing"
		if i < len(done) {
			got = done[i]
		}
		if i < len(want) {
			expected = want[i]
		}
		if got != expected {
			t.Errorf("step %d: %s, want %s", i+1, got, expected)
		}
	}
	report("passkeys: registered, shown and deleted in a browser on http://localhost")
}
