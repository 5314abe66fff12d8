package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"gopkg.in/yaml.v3"
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
	check(t, "merge_slashes", hcm.GetMergeSlashes(), true)
	check(t, "path_with_escaped_slashes_action", hcm.GetPathWithEscapedSlashesAction(), hcmv3.HttpConnectionManager_REJECT_REQUEST)
}

func TestTraefikFile(t *testing.T) {
	var file struct {
		HTTP struct {
			Middlewares map[string]struct {
				Headers     *struct{ CustomRequestHeaders map[string]string }
				ForwardAuth *struct {
					Address             string
					TrustForwardHeader  bool
					AuthResponseHeaders []string
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
	for name, r := range file.HTTP.Routers {
		rule, ok := strings.CutPrefix(r.Rule, "PathPrefix(`/api/v2/"+name+"/`)")
		check(t, name+" matches a whole segment", ok, true)
		// Traefik does not ask with Upgrade, so Barong cannot judge the origin of a websocket (D23).
		if name == "ranger" {
			check(t, "ranger's websockets", rule, " && (!HeaderRegexp(`Upgrade`, `.`) || "+
				"Header(`Origin`, `http://localhost:3000`) || HeaderRegexp(`X-Auth-Apikey`, `.`))")
		} else {
			check(t, name+" has no other condition", rule, "")
			check(t, name+" opens no websocket", slices.Contains(r.Middlewares, "no-websocket"), true)
		}
		check(t, name+" has a service", file.HTTP.Services[r.Service] != nil, true)
		check(t, name+" cleans first", r.Middlewares[0], "clean")
		auth := file.HTTP.Middlewares[r.Middlewares[1]].ForwardAuth
		if auth == nil {
			t.Errorf("%s is not asked about", name)
			continue
		}
		check(t, name+" trustForwardHeader", auth.TrustForwardHeader, false)
		check(t, name+" copies the token", auth.AuthResponseHeaders[0], "Authorization")
		check(t, name+" replaces the cookie", len(auth.AuthResponseHeaders) == 2, name != "barong")
	}
	clean := file.HTTP.Middlewares["clean"].Headers.CustomRequestHeaders
	for _, h := range []string{"Authorization", "Jwtuid", "Jwtrole", "X-Http-Method-Override", "X-Original-Url", "X-Rewrite-Url"} {
		value, ok := clean[h]
		check(t, h+" is removed", ok && value == "", true)
	}
}
