package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"strings"

	"barong/e2e"
)

// People are the demo's account and the seeds file that makes it.
type people struct {
	member, password string
	seeds            string // path
}

// blockedNetwork is the network that the seeded restriction refuses (for documentation, RFC 5737).
const blockedNetwork = "198.51.100.0/24"

// blockedCode is the status that the restriction answers with.
const blockedCode = 434

// newPeople writes dir/seeds.yml: the built-in seeds, one member with a random password, and
// one restriction.
func newPeople(ctx context.Context, bin, dir string) (*people, error) {
	random := make([]byte, 9)
	rand.Read(random)
	p := &people{
		member:   "trader@demo.example",
		password: "Demo-" + strings.ToUpper(hex.EncodeToString(random[:4])) + hex.EncodeToString(random[4:]),
		seeds:    filepath.Join(dir, "seeds.yml"),
	}
	return p, e2e.Seeds{
		"users": {{"email": p.member, "password": p.password, "role": "member", "state": "active", "level": 1}},
		"restrictions": {{"category": "blacklist", "scope": "ip_subnet", "value": blockedNetwork,
			"code": blockedCode, "state": "enabled"}},
	}.Write(ctx, bin, p.seeds)
}
