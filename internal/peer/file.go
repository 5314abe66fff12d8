package peer

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"barong/internal/strictyaml"
	"barong/internal/token"
)

// A File is the content of management_api.yml. It never changes.
type File struct {
	keychain map[string]token.PublicKey // by id of the signer
	scopes   map[string]scope
	claims   claimRules
}

// scope is a right of peers.
type scope struct {
	permitted, mandatory []string // ids of signers, sorted
	min                  int      // how many permitted ones must sign
}

// Scopes are the names of the scopes of the file, sorted.
func (f File) Scopes() []string { return slices.Sorted(maps.Keys(f.scopes)) }

// Parse reads a management_api.yml of the reference. Each signer of keychain has one algorithm that
// fits its public key. Every scope has at least one mandatory signer; min_signers, which the reference lacks,
// is how many permitted signers must sign, and their number by default. Errors come all at once, with
// their lines.
func Parse(text []byte) (File, error) {
	r := reader{file: File{
		keychain: map[string]token.PublicKey{}, scopes: map[string]scope{},
		claims: claimRules{expiration: true, notBefore: true},
	}}
	known := []string{"keychain", "jwt", "scopes"}
	at := map[string]*yaml.Node{}
	if top := r.d.Parse(text); top != nil {
		for _, f := range r.d.Fields(top, "the file") {
			key := strings.ToLower(f.Key)
			if !slices.Contains(known, key) {
				r.d.Unknown(f, "the file", known)
				continue
			}
			at[key] = f.Value
		}
		for _, key := range known {
			if at[key] == nil {
				r.d.Problem(1, "the file has no key %s; it may be an empty mapping", key)
			}
		}
	}
	if n := at["keychain"]; n != nil {
		for _, f := range r.d.Fields(n, "keychain") {
			r.signer(f)
		}
	}
	if n := at["jwt"]; n != nil {
		r.claims(n)
	}
	if n := at["scopes"]; n != nil {
		for _, f := range r.d.Fields(n, "scopes") {
			r.scope(f)
		}
	}
	if err := r.d.Err(); err != nil {
		return File{}, err
	}
	return r.file, nil
}

type reader struct {
	d    strictyaml.Document
	file File
	// broken are the signers with a problem of their own.
	broken []string
}

// signer reads an entry of keychain.
func (r *reader) signer(f strictyaml.Field) {
	r.broken = append(r.broken, f.Key)
	var algorithm, value string
	if !r.d.Record(f.Value, "keychain."+f.Key, map[string]*string{"algorithm": &algorithm, "value": &value}) {
		return
	}
	if f.Key == "" || len(f.Key) > maxID {
		r.d.Problem(f.Line, "keychain: an id has %d bytes, want 1 to %d", len(f.Key), maxID)
		return
	}
	key, err := token.ParsePublicKey(algorithm, value)
	switch {
	case errors.Is(err, token.ErrPrivateKey):
		r.d.Problem(f.Line, "keychain.%s was set to a private key, however it should be a public one", f.Key)
	case err != nil:
		r.d.Problem(f.Line, "Invalid public key format for key %s: %w", f.Key, err)
	default:
		r.file.keychain[f.Key] = key
	}
}

// scope reads an entry of scopes.
func (r *reader) scope(f strictyaml.Field) {
	what := "scopes." + f.Key
	var s scope
	least := ""
	for _, x := range r.d.Fields(f.Value, what) {
		switch strings.ToLower(x.Key) {
		case "permitted_signers":
			s.permitted = r.ids(x, what)
		case "mandatory_signers":
			s.mandatory = r.ids(x, what)
		case "min_signers":
			least = r.d.Text(x.Value, what+".min_signers")
		default:
			r.d.Unknown(x, what, []string{"permitted_signers", "mandatory_signers", "min_signers"})
		}
	}
	if len(s.mandatory) == 0 {
		r.d.Problem(f.Line, "%s.mandatory_signers is empty, however it should contain at least one value", what)
		return
	}
	for _, id := range s.mandatory {
		if _, ok := r.file.keychain[id]; !ok && !slices.Contains(r.broken, id) {
			r.d.Problem(f.Line, "%s: the keychain lacks the mandatory signer %s, so nobody could use the scope", what, id)
		}
		if len(s.permitted) > 0 && !slices.Contains(s.permitted, id) {
			r.d.Problem(f.Line, "%s: the mandatory signer %s is not permitted, so nobody could use the scope", what, id)
		}
	}
	s.min = len(s.mandatory)
	if least != "" {
		able := 0
		for _, id := range s.permitted {
			if _, ok := r.file.keychain[id]; ok || slices.Contains(r.broken, id) {
				able++
			}
		}
		n, err := strconv.Atoi(least)
		if err != nil || n < s.min || len(s.permitted) > 0 && n > able || n > MaxSignatures {
			r.d.Problem(f.Line, "%s.min_signers is %.20q, want a number from %d, of the mandatory signers, to %d, of the permitted ones in the keychain",
				what, least, s.min, min(able, MaxSignatures))
		}
		s.min = max(n, s.min)
	}
	r.file.scopes[f.Key] = s
}

// ids reads a list of signers, sorted, each once.
func (r *reader) ids(f strictyaml.Field, what string) []string {
	list := r.d.Words(f.Value, what+"."+f.Key, maxID)
	slices.Sort(list)
	return slices.Compact(list)
}

// claims reads the options of jwt.
func (r *reader) claims(n *yaml.Node) {
	c := &r.file.claims
	verify := map[string]bool{}
	flags := map[string]*bool{
		"verify_expiration": &c.expiration, "verify_not_before": &c.notBefore, "verify_iat": &c.issuedAt,
		"verify_jti": &c.id, "require_exp": &c.requireExp,
	}
	spans := map[string]*time.Duration{
		"exp_leeway": &c.expLeeway, "nbf_leeway": &c.nbfLeeway, "iat_leeway": &c.iatLeeway, "max_lifetime": &c.maxLife,
	}
	texts := map[string]*[]string{"iss": &c.issuers, "aud": &c.audiences, "sub": &c.subjects}
	var leeway time.Duration
	set := map[string]bool{}
	for _, f := range r.d.Fields(n, "jwt") {
		key := strings.ToLower(f.Key)
		set[key] = true
		switch {
		case flags[key] != nil:
			*flags[key] = r.flag(f)
		case spans[key] != nil:
			*spans[key] = r.seconds(f)
		case texts[key] != nil:
			*texts[key] = r.texts(f)
		case key == "leeway":
			leeway = r.seconds(f)
		case key == "verify_iss", key == "verify_aud", key == "verify_sub":
			verify[strings.TrimPrefix(key, "verify_")] = r.flag(f)
		default:
			known := slices.Concat(slices.Collect(maps.Keys(flags)), slices.Collect(maps.Keys(spans)),
				slices.Collect(maps.Keys(texts)), []string{"leeway", "verify_iss", "verify_aud", "verify_sub"})
			r.d.Unknown(f, "jwt", known)
		}
	}
	if !set["exp_leeway"] {
		c.expLeeway = leeway
	}
	if !set["nbf_leeway"] {
		c.nbfLeeway = leeway
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		switch {
		case !verify[name]:
			*texts[name] = nil // as in the reference: the value alone verifies nothing
		case len(*texts[name]) == 0:
			r.d.Problem(n.Line, "jwt.verify_%s is true, but %s has no value to compare with", name, name)
		}
	}
}

func (r *reader) flag(f strictyaml.Field) bool {
	switch text := strings.ToLower(r.d.Text(f.Value, "jwt."+f.Key)); text {
	case "true":
		return true
	case "false", "":
	default:
		r.d.Problem(f.Line, "jwt.%s is %.20q, want true or false", f.Key, text)
	}
	return false
}

// seconds reads a number of seconds up to an hour.
func (r *reader) seconds(f strictyaml.Field) time.Duration {
	text := r.d.Text(f.Value, "jwt."+f.Key)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 3600 {
		r.d.Problem(f.Line, "jwt.%s is %.20q, want seconds from 0 to 3600", f.Key, text)
	}
	return time.Duration(n) * time.Second
}

// texts reads one text or a list of them.
func (r *reader) texts(f strictyaml.Field) []string {
	if f.Value.Kind == yaml.ScalarNode {
		if text := r.d.Text(f.Value, "jwt."+f.Key); text != "" {
			return []string{text}
		}
		return nil
	}
	return r.d.Words(f.Value, "jwt."+f.Key, maxID)
}
