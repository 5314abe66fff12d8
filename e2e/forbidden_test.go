package e2e_test

import (
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"

	"barong/authz"
)

// The shipped files held to the one list of headers that no client may say to an upstream.
// attack_headers_test.go checks the running proxies.

// spellings are the ways to write a header name that many upstreams take for one: CGI, WSGI and
// Rack turn '-' into '_', PHP also '.', and case never counts.
func spellings(name string) []string {
	return []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ToUpper(name)}
}

// example is a name that a listed one stands for: its '*' filled in.
func example(name string) string { return strings.Replace(name, "*", "zz", 1) }

// A removal is how a file treats headers: of reports whether one is taken away (or the request
// refused); component, whether that is said of components only or of Barong, too.
type removal struct {
	component bool
	of        func(name string) bool
}

// forbids checks that a file takes every listed header away in every spelling but those that the
// proxy says itself.
func forbids(t *testing.T, r removal, says []string) {
	t.Helper()
	for _, h := range authz.ForbiddenHeaders() {
		if slices.Contains(says, h.Name) || h.Read && !r.component {
			continue
		}
		for _, name := range spellings(example(h.Name)) {
			if !r.of(name) {
				t.Errorf("%s reaches the upstream, which may take it for %s", name, h.Because)
			}
		}
	}
	for _, name := range []string{"accept", "content-type", "user-agent", "if-match", "x-requested-with"} {
		if r.of(name) {
			t.Errorf("%s does not reach the upstream", name)
		}
	}
}

// envoySays are the listed headers that Envoy overwrites: for a client that is no proxy of ours.
var envoySays = []string{"x-forwarded-proto", "x-request-id"}

// envoyRemoves are the headers that a connection manager takes away before anything else.
func envoyRemoves(t *testing.T, hcm *hcmv3.HttpConnectionManager) removal {
	t.Helper()
	check(t, "use_remote_address", hcm.GetUseRemoteAddress().GetValue(), true)
	check(t, "preserve_external_request_id", hcm.GetPreserveExternalRequestId(), false)
	var tests []func(string) bool
	if hcm.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction() == corev3.HttpProtocolOptions_REJECT_REQUEST {
		tests = append(tests, func(name string) bool { return strings.Contains(name, "_") })
	}
	for _, e := range hcm.GetEarlyHeaderMutationExtensions() {
		m := new(mutationv3.HeaderMutation)
		unpack(t, e.GetTypedConfig(), m)
		for _, x := range m.GetMutations() {
			check(t, "headers added", x.GetAppend() == nil, true)
			exact, match := x.GetRemove(), x.GetRemoveOnMatch().GetKeyMatcher()
			switch {
			case exact != "":
				tests = append(tests, func(name string) bool { return name == exact })
			case match.GetPrefix() != "":
				tests = append(tests, func(name string) bool { return strings.HasPrefix(name, match.GetPrefix()) })
			default:
				whole := regexp.MustCompile("^(?:" + match.GetSafeRegex().GetRegex() + ")$")
				if whole.MatchString(":path") || whole.MatchString(":method") || whole.MatchString(":authority") {
					t.Errorf("%s takes the request line away", whole)
				}
				tests = append(tests, whole.MatchString)
			}
		}
	}
	return removal{of: func(name string) bool {
		return slices.ContainsFunc(tests, func(test func(string) bool) bool { return test(strings.ToLower(name)) })
	}}
}

// mayAnswer checks that a filter lets Barong remove the headers that it removes, since any other
// name in an answer fails the request.
func mayAnswer(t *testing.T, a *extauthzv3.ExtAuthz) {
	t.Helper()
	rules := a.GetDecoderHeaderMutationRules()
	check(t, "mutations: disallow_all", rules.GetDisallowAll().GetValue(), true)
	check(t, "mutations: disallow_is_error", rules.GetDisallowIsError().GetValue(), true)
	allowed := regexp.MustCompile("^(?:" + rules.GetAllowExpression().GetRegex() + ")$")
	for _, h := range authz.ForbiddenHeaders() {
		if h.Answered || h.Name == "authorization" {
			check(t, "an answer may remove "+h.Name, allowed.MatchString(example(h.Name)), true)
		}
	}
	check(t, "an answer may set cookie", allowed.MatchString("cookie"), true)
	for _, name := range []string{"host", ":path", ":method", "x-forwarded-for", "x-forwarded-proto", "x-envoy-zz",
		"content-length", "connection", "upgrade", "x-cookie", "cookies"} {
		check(t, "an answer may change "+name, allowed.MatchString(name), false)
	}
}

// traefikRemoves matches the headers that a middleware of headers and a forwardAuth's expression
// take away.
func traefikRemoves(t *testing.T, custom map[string]string, expression string) func(string) bool {
	t.Helper()
	r := regexp.MustCompile(expression)
	for name, value := range custom {
		check(t, name+" is set to nothing", value, "")
		check(t, name+" is canonical", name, textproto.CanonicalMIMEHeaderKey(name))
	}
	return func(name string) bool {
		name = textproto.CanonicalMIMEHeaderKey(name)
		_, named := custom[name]
		return named || r.MatchString(name)
	}
}

func shippedText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// nginx passes only the headers that its file names.
func TestNginxFile(t *testing.T) {
	text := shippedText(t, "deploy/nginx.conf")
	// The blocks that may hold directives of the proxy: a directive outside them is the
	// server's own, which a location without proxy_set_header takes over.
	locations := regexp.MustCompile(`(?s)\n\tlocation ([^\n{]*)\{(.*?)\n\t\}`)
	server := locations.ReplaceAllString(text, "")
	check(t, "what the client says passes by default", strings.Contains(server, "\n\tproxy_pass_request_headers off;"), true)
	for _, must := range []string{"underscores_in_headers off;", "ignore_invalid_headers on;"} {
		check(t, must, strings.Contains(server, must), true)
	}
	seen := 0
	for _, l := range locations.FindAllStringSubmatch(text, -1) {
		name, block := strings.TrimSpace(l[1]), l[2]
		if !strings.Contains(block, "proxy_pass ") || name == "= /_barong" {
			continue
		}
		seen++
		check(t, name+" is asked about", strings.Contains(block, "auth_request /_barong;"), true)
		check(t, name+" passes all headers", strings.Contains(block, "proxy_pass_request_headers"), false)
		barong := strings.HasPrefix(name, "/api/v2/barong/")
		if !strings.Contains(block, "proxy_set_header") {
			block = server
		}
		passed := map[string]string{}
		for _, h := range regexp.MustCompile(`proxy_set_header\s+(\S+)\s+(\S+);`).FindAllStringSubmatch(block, -1) {
			passed[strings.ToLower(h[1])] = h[2]
		}
		check(t, name+" gets the token", passed["authorization"], "$barong_authorization")
		check(t, name+" gets the cookies", passed["cookie"], map[bool]string{true: "$http_cookie", false: "$barong_cookie"}[barong])
		forbids(t, removal{component: !barong, of: func(name string) bool {
			return !strings.HasPrefix(passed[strings.ToLower(name)], "$http_")
		}}, nil)
	}
	check(t, "locations with an upstream", seen, 3)
}

func TestCaddyFile(t *testing.T) {
	text := shippedText(t, "deploy/Caddyfile")
	site := text[strings.Index(text, "http://:8099"):]
	credentials := text[strings.Index(text, "(credentials)"):strings.Index(text, "http://:8099")]
	removed := regexp.MustCompile(`\n\s*request_header -(\S+)\n`)
	names := func(block string) (all []string) {
		// A blank line more between lines, so that each match has its own ends.
		for _, m := range removed.FindAllStringSubmatch(strings.ReplaceAll(block, "\n", "\n\n"), -1) {
			all = append(all, strings.ToLower(m[1]))
		}
		return all
	}
	matches := func(all []string) func(string) bool {
		return func(name string) bool {
			return slices.ContainsFunc(all, func(pattern string) bool {
				ok, _ := filepath.Match(pattern, strings.ToLower(name))
				return ok
			})
		}
	}
	// Caddy overwrites X-Forwarded-Proto; the file gives the request id.
	says := []string{"x-forwarded-proto", "x-request-id"}
	all := names(site[:strings.Index(site, "handle /api/v2/barong/*")])
	forbids(t, removal{of: matches(all)}, says)
	forbids(t, removal{component: true, of: matches(append(all, names(credentials)...))}, says)
}

// docs/proxies.md has the list.
func TestForbiddenHeadersAreDocumented(t *testing.T) {
	var want strings.Builder
	want.WriteString("| header | an upstream may take it for |\n|---|---|\n")
	for _, h := range authz.ForbiddenHeaders() {
		because := h.Because
		if h.Read {
			because += " (Barong reads it: taken from components only)"
		}
		fmt.Fprintf(&want, "| `%s` | %s |\n", h.Name, because)
	}
	if !strings.Contains(shippedText(t, "docs/proxies.md"), "\n"+want.String()+"\n") {
		t.Errorf("docs/proxies.md must have this table:\n%s", want.String())
	}
}
