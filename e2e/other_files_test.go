package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// documents decodes all documents of a shipped YAML file.
func documents(t *testing.T, file string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var one map[string]any
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
}

// into re-reads a part of a document as a struct, refusing fields that the struct lacks.
func into(t *testing.T, part, v any) {
	t.Helper()
	text, err := json.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestIstioFile(t *testing.T) {
	docs := documents(t, "deploy/istio.yaml")
	if len(docs) != 3 {
		t.Fatalf("got %d documents, want 3", len(docs))
	}
	var mesh struct {
		ExtensionProviders []struct {
			Name              string
			EnvoyExtAuthzGrpc struct {
				Service, Timeout, StatusOnError string
				Port                            int
				FailOpen                        bool
			}
		}
	}
	into(t, docs[0], &mesh)
	p := mesh.ExtensionProviders[0]
	check(t, "failOpen", p.EnvoyExtAuthzGrpc.FailOpen, false)
	check(t, "statusOnError", p.EnvoyExtAuthzGrpc.StatusOnError, "503")
	check(t, "port", p.EnvoyExtAuthzGrpc.Port, 9001)
	check(t, "action", docs[1]["spec"].(map[string]any)["action"], any("CUSTOM"))
	check(t, "provider", docs[1]["spec"].(map[string]any)["provider"].(map[string]any)["name"], any(p.Name))

	var filter struct {
		WorkloadSelector any
		ConfigPatches    []struct {
			ApplyTo      string
			Match, Patch map[string]any
		}
	}
	into(t, docs[2]["spec"], &filter)
	config := filter.ConfigPatches[0].Patch["value"].(map[string]any)["typed_config"].(map[string]any)
	delete(config, "@type")
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	hcm := new(hcmv3.HttpConnectionManager)
	if err := protojson.Unmarshal(text, hcm); err != nil {
		t.Fatalf("the patch of the connection manager: %v", err)
	}
	forbids(t, envoyRemoves(t, hcm), envoySays)
	config = filter.ConfigPatches[1].Patch["value"].(map[string]any)["typed_config"].(map[string]any)
	delete(config, "@type")
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	question := new(extauthzv3.ExtAuthz)
	if err := protojson.Unmarshal(text, question); err != nil {
		t.Fatalf("the patch of the question: %v", err)
	}
	mayAnswer(t, question)

	// The fields that both patch are as in envoy.yaml.
	shipped := load(t, "envoy.yaml")
	for _, field := range []protoreflect.Name{"normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "max_request_headers_kb",
		"use_remote_address", "internal_address_config", "early_header_mutation_extensions"} {
		sameField(t, hcm, shipped.hcm, field)
	}
	sameField(t, hcm.GetCommonHttpProtocolOptions(), shipped.hcm.GetCommonHttpProtocolOptions(), "headers_with_underscores_action")
	sameField(t, hcm.GetCommonHttpProtocolOptions(), shipped.hcm.GetCommonHttpProtocolOptions(), "max_headers_count")
	sameField(t, question, shipped.authz, "decoder_header_mutation_rules")
	sameField(t, question, shipped.authz, "validate_mutations")
}

// sameField compares one field of two messages.
func sameField(t *testing.T, a, b proto.Message, name protoreflect.Name) {
	t.Helper()
	field := a.ProtoReflect().Descriptor().Fields().ByName(name)
	check(t, string(name)+" is set", a.ProtoReflect().Has(field), true)
	check(t, string(name)+" is as in envoy.yaml", a.ProtoReflect().Get(field).Equal(b.ProtoReflect().Get(field)), true)
}

func TestTraefikFile(t *testing.T) {
	var file struct {
		HTTP struct {
			Middlewares map[string]struct {
				Headers     *struct{ CustomRequestHeaders map[string]string }
				ForwardAuth *struct {
					Address                  string
					TrustForwardHeader       bool
					AuthResponseHeaders      []string
					AuthResponseHeadersRegex string
				}
			}
			Routers map[string]struct {
				Rule, Service string
				Middlewares   []string
			}
			Services map[string]any
		}
	}
	into(t, documents(t, "deploy/traefik.yaml")[0], &file)
	headers := func(name string) map[string]string { return file.HTTP.Middlewares[name].Headers.CustomRequestHeaders }
	for router, r := range file.HTTP.Routers {
		name, websocket := strings.CutSuffix(router, "-websocket")
		rule, ok := strings.CutPrefix(r.Rule, "PathPrefix(`/api/v2/"+name+"/`)")
		check(t, router+" matches a whole segment", ok, true)
		check(t, router+" has three middlewares", len(r.Middlewares), 3)
		// Traefik does not ask with Upgrade, so Barong cannot judge the origin of a websocket (D23).
		if websocket {
			check(t, "websockets open on", name, "ranger")
			check(t, "websockets", rule, " && HeaderRegexp(`Upgrade`, `(?i)^websocket$`) && "+
				"(Header(`Origin`, `http://localhost:3000`) || HeaderRegexp(`X-Auth-Apikey`, `.`))")
			check(t, "what is upgraded", headers(r.Middlewares[2])["Upgrade"], "websocket")
			check(t, "what Connection names", headers(r.Middlewares[2])["Connection"], "Upgrade")
		} else {
			check(t, router+" has no other condition", rule, "")
			for _, h := range []string{"Upgrade", "Connection"} {
				value, removed := headers(r.Middlewares[2])[h]
				check(t, router+" passes no "+h, removed && value == "", true)
			}
		}
		check(t, router+" has a service", file.HTTP.Services[r.Service] != nil, true)
		auth := file.HTTP.Middlewares[r.Middlewares[1]].ForwardAuth
		if auth == nil {
			t.Errorf("%s is not asked about", router)
			continue
		}
		check(t, router+" trustForwardHeader", auth.TrustForwardHeader, false)
		check(t, router+" copies the token", auth.AuthResponseHeaders[0], "Authorization")
		check(t, router+" replaces the cookie", len(auth.AuthResponseHeaders) == 2, name != "barong")

		forbids(t, removal{component: name != "barong", of: traefikRemoves(t, headers(r.Middlewares[0]), auth.AuthResponseHeadersRegex)},
			// The entry point overwrites these before any middleware runs.
			[]string{"x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-real-ip"})
	}
}
