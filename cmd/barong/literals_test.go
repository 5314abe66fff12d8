package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// contract matches the words that clients, proxies and consumers rely on: tokens of answers, header
// and cookie names, well-known paths, names on the wire.
var contract = regexp.MustCompile(`^(` +
	`(authz|jwt|record|server|totp)\.[a-z0-9_.]+` +
	`|X-[A-Z][A-Za-z-]+|x-[a-z][a-z-]+` +
	`|_barong_[a-z]+` +
	`|/\.well-known/.*` +
	`|barong\.events?\..*` +
	`|barong-[a-z-]+` +
	`)$`)

// twice are the words that more than one edge has to say, each with the reason: edges never import each
// other.
var twice = map[string]string{
	"/.well-known/jwks.json":   "identity serves the path that the gate lets through; Auth0 has its own",
	"X-Auth-Apikey":            "authz reads the header that resource describes",
	"X-Forwarded-Proto":        "forward-auth and the links of pages read it",
	"X-Request-Id":             "the gate and the REST server hand it on",
	"authz.email_not_verified": "a decision and the APIs refuse alike",
	"authz.invalid_session":    "a decision and the APIs refuse alike",
	"authz.user_not_active":    "a decision and the APIs refuse alike",
	"jwt.decode_and_verify":    "the APIs refuse alike",
	"record.not_found":         "the APIs refuse alike",
	"totp.error":               "rooms of two APIs check a code",
}

// A word of a contract stands in one package, so that it cannot drift. Of those that are named in
// twice, each package has the same: a word that drifted is there once, and its row is wrong.
func TestWordsOfAContractStandOnce(t *testing.T) {
	at := map[string]map[string]bool{}
	fset := token.NewFileSet()
	for _, file := range productionFiles(t) {
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				word, err := strconv.Unquote(l.Value)
				if err == nil && contract.MatchString(word) {
					if at[word] == nil {
						at[word] = map[string]bool{}
					}
					at[word][filepath.Dir(file)] = true
				}
			}
			return true
		})
	}
	if len(at) < 40 {
		t.Fatalf("found %d words, too few to mean anything", len(at))
	}
	for word, dirs := range at {
		if _, known := twice[word]; len(dirs) > 1 != known {
			t.Errorf("%q: said by %v, named as one that must be said twice: %v",
				word, slices.Sorted(maps.Keys(dirs)), known)
		}
	}
	for word := range twice {
		if at[word] == nil {
			t.Errorf("%q is said nowhere any more", word)
		}
	}
}

// productionFiles are the Go files of packages that are in the binary, relative to this folder.
func productionFiles(t *testing.T) (files []string) {
	t.Helper()
	root := filepath.Join("..", "..")
	for file := range commentsOfTree(t) {
		switch layerOf("barong/" + filepath.ToSlash(filepath.Dir(file))) {
		case "test", "e2e", "":
			continue
		}
		if !strings.HasSuffix(file, "_test.go") {
			files = append(files, filepath.Join(root, file))
		}
	}
	return files
}
