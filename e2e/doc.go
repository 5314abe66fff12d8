// Package e2e runs the built barong binary behind real proxies and attacks it from outside.
//
// It starts, watches and stops those programs: the binary itself (Barong), an upstream that
// answers with the request that reached it (Echo), and the proxies with the configuration files
// that the repository ships (Envoy, EnvoyHTTP, Nginx, Caddy). It knows Barong only by its
// contract — environment, listeners, wire — and imports nothing of it; only the replay of the
// decision corpus, a test, takes the authorizer into its own process.
//
//	client ──► proxy ──► upstream (Echo or Barong's REST)
//	             │
//	             └─ asks ─► barong serve
//
// The demo (e2e/demo) and the tests share it. A proxy that cannot be had is reported as NOT RUN
// in the last lines of the tests, and is a failure when CI=true.
package e2e
