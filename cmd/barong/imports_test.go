package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers places every package that has no place by its name (see layerOf).
var layers = map[string]string{
	"barong/cmd/barong": "wire", "barong/internal/configured": "wire",

	// Settings know nothing of ours but how to read a file, and only the wiring knows them: it
	// hands each package its own Config, which configured makes of them.
	"barong/internal/config": "settings",

	"barong/authz": "edge", "barong/identity": "edge", "barong/resource": "edge",
	"barong/admin": "edge", "barong/management": "edge",

	// For programs of others: it imports none of ours, and the service itself does not need it.
	"barong/bearer": "upstream", "barong/bearer/ginbearer": "upstream", "barong/bearer/grpcbearer": "upstream",

	"barong/internal/rest": "face", "barong/internal/view": "face", "barong/internal/caller": "face",

	"barong/policy": "domain", "barong/policy/editor": "domain", "barong/policy/seed": "domain",
	"barong/policy/ability": "domain", "barong/policy/review": "domain", "barong/policy/defaults": "core",
	"barong/internal/account": "domain", "barong/internal/session": "domain",
	"barong/internal/token": "domain", "barong/internal/audit": "domain", "barong/internal/event": "domain",
	"barong/internal/notify": "domain", "barong/internal/feed": "domain", "barong/internal/limit": "domain",
	"barong/internal/captcha": "domain", "barong/internal/peer": "domain",

	// Rooms stand on accounts; nothing that they stand on knows them.
	"barong/internal/signin": "room", "barong/internal/factor": "room", "barong/internal/apikey": "room",
	"barong/internal/person": "room", "barong/internal/directory": "room", "barong/internal/chronicle": "room",
	"barong/internal/exchange": "room", "barong/internal/roster": "room", "barong/internal/approval": "room",

	"barong/internal/password": "domain",

	"barong/internal/secret": "core", "barong/internal/strictyaml": "core",
	"barong/internal/param": "core", "barong/internal/invalid": "core", "barong/internal/logfold": "core",
}

// mayImport says which layers a layer's packages may import.
var mayImport = map[string][]string{
	"wire":     {"wire", "settings", "edge", "face", "room", "domain", "core", "adapter"},
	"settings": {"core"},
	"edge":     {"face", "room", "domain", "core"},
	"face":     {"room", "domain", "core"},
	"room":     {"room", "domain", "core"},
	"domain":   {"domain", "core"},
	"core":     {},
	"upstream": {"upstream"},
	"adapter":  {"room", "domain", "core", "adapter"},
}

// foreign lists the packages that alone may import the libraries of an adapter or of one edge.
var foreign = map[string][]string{
	"github.com/gin-gonic/gin":               {"barong/internal/rest", "barong/bearer/ginbearer"},
	"github.com/go-webauthn/webauthn":        {"barong/internal/factor"},
	"github.com/envoyproxy/go-control-plane": {"barong/authz", "barong/e2e"},
	"google.golang.org/grpc":                 {"barong/authz", "barong/e2e", "barong/cmd/barong", "barong/bearer/grpcbearer"},
	"database/sql":                           {"barong/internal/store"},
	"modernc.org/sqlite":                     {"barong/internal/store"},
	"github.com/lestrrat-go/jwx":             {"barong/internal/token"},
	"github.com/oschwald/maxminddb-golang":   {"barong/policy"},
	"github.com/alecthomas/kong":             {"barong/cmd/barong"},
	"github.com/gabriel-vasile/mimetype":     {"barong/internal/person"},
	"github.com/getkin/kin-openapi":          {"barong/internal/rest"},
	"github.com/prometheus/client_golang":    {"barong/authz", "barong/cmd/barong", "barong/internal/rest"},
	"github.com/go-playground/validator":     {"barong/internal/rest"},
	"golang.org/x/crypto":                    {"barong/internal/secret"},
	"github.com/pressly/goose":               {"barong/internal/store"},
	"github.com/redis/go-redis":              {"barong/internal/store/redis"},
	"github.com/jackc/pgx":                   {"barong/internal/store", "barong/e2e"},
	"github.com/rabbitmq/amqp091-go":         {"barong/internal/provider/amqp"},
	"github.com/minio/minio-go":              {"barong/internal/provider/s3"},
	"github.com/wneessen/go-mail":            {"barong/internal/provider/smtp"},
	"github.com/nyaruka/phonenumbers":        {"barong/internal/person"},
	"go.yaml.in/yaml":                        {"barong/internal/strictyaml", "barong/internal/config", "barong/policy", "barong/internal/notify", "barong/internal/peer", "barong/authz/authztest", "barong/e2e"},
}

// TestImportsPointInward holds the import rule of the package tree over `go list`.
func TestImportsPointInward(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "barong/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := layerOf(p.ImportPath)
		if from == "" {
			t.Errorf("%s has no place in the package tree", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "barong/") {
				if why := forbidden(p.ImportPath, from, imp); why != "" {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
				}
				continue
			}
			for prefix, owners := range foreign {
				if imp != prefix && !strings.HasPrefix(imp, prefix+"/") || from == "test" {
					continue
				}
				if !owned(p.ImportPath, owners) {
					t.Errorf("%s imports %s, which is for %s alone", p.ImportPath, imp, strings.Join(owners, ", "))
				}
			}
		}
	}
}

// Package bearer costs its users no library but golang-jwt.
func TestBearerNeedsOneLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "barong/bearer").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Fields(string(out)), []string{"github.com/golang-jwt/jwt/v5", "barong/bearer"}; !slices.Equal(got, want) {
		t.Errorf("it depends on %v, want %v", got, want)
	}
}

func owned(path string, owners []string) bool {
	for _, o := range owners {
		if path == o || strings.HasPrefix(path, o+"/") {
			return true
		}
	}
	return false
}

func forbidden(path, from, imp string) string {
	to := layerOf(imp)
	switch {
	case from == "test" || from == "e2e":
		return "" // suites and end-to-end programs may use anything
	case to == "test" || to == "e2e":
		return "that package is for tests"
	case imp == "barong/internal/rest" && strings.HasPrefix(path, "barong/internal/view"):
		return "view knows shapes, not endpoints"
	case strings.HasPrefix(path, "barong/internal/rest") && to != "" &&
		imp != "barong/internal/param" && imp != "barong/internal/limit" && imp != "barong/internal/logfold":
		return "rest imports none of ours but the reading of parameters, the folding of its log, and limit, in whose words endpoints say what they cost"
	}
	for _, ok := range mayImport[from] {
		if to == ok {
			return ""
		}
	}
	return "a " + from + " package must not import a " + to + " package"
}

func layerOf(path string) string {
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case strings.HasSuffix(last, "test") && last != "test", last == "testenv", last == "hostile", last == "expect":
		return "test"
	case strings.HasPrefix(path, "barong/e2e"):
		return "e2e"
	case strings.HasPrefix(path, "barong/internal/store"), strings.HasPrefix(path, "barong/internal/provider/"):
		return "adapter"
	}
	return layers[path]
}
