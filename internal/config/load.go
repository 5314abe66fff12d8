package config

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"barong/internal/strictyaml"
)

// Prefix starts the names of our environment variables.
const Prefix = "BARONG_"

// Default returns the settings of an empty environment.
func Default() Settings {
	s, err := Load(nil)
	if err != nil {
		panic("config: a default does not pass its own checks: " + err.Error())
	}
	return s
}

// Load reads the settings file that BARONG_SETTINGS names, then the environment (as
// os.Environ gives it), which wins. Settings that were not given adapt to those that they
// depend on. The error is Problems, with all of them at once; the settings that come with it
// have the default in place of each value that cannot be read, so that more can be checked.
func Load(environ []string) (Settings, error) {
	fields := settingFields()
	byKey := make(map[string]field, len(fields))
	for _, f := range fields {
		byKey[f.key] = f
		for _, a := range f.aliases {
			byKey[a] = f
		}
	}

	var problems Problems
	env := ourVariables(environ)
	given := map[string]source{}
	if path, ok := env["settings"]; ok {
		delete(env, "settings")
		problems = append(problems, fromFile(path, byKey, given)...)
	}
	problems = append(problems, fromEnvironment(env, byKey, given)...)

	var s Settings
	root := reflect.ValueOf(&s).Elem()
	for _, f := range fields {
		g, isGiven := given[f.key]
		if isGiven {
			if err := f.set(root, g.text); err == nil {
				continue
			} else {
				problems = append(problems, Problem{f.key, fmt.Sprintf("%s: %v", g.name, err), true})
			}
		}
		if err := f.set(root, f.def); err != nil {
			panic("config: the default of " + f.key + ": " + err.Error())
		}
	}
	s.adapt(func(key string) bool { _, ok := given[key]; return ok })
	s.check(&problems)
	if len(problems) > 0 {
		return s, problems
	}
	return s, nil
}

// source is a text and the name under which it was given.
type source struct{ text, name string }

func ourVariables(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if key, ok := strings.CutPrefix(name, Prefix); ok {
			env[strings.ToLower(key)] = value
		}
	}
	return env
}

// fromFile reads barong.yaml: the same keys in lower case, flat. A list is the text of its items
// with commas between.
func fromFile(path string, byKey map[string]field, given map[string]source) (problems Problems) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Problems{{Text: fmt.Sprintf("BARONG_SETTINGS: %v", err)}}
	}
	var d strictyaml.Document
	var entries []strictyaml.Field
	if root := d.Parse(data); root != nil {
		entries = d.Fields(root, "settings")
	}
	for _, err := range d.Problems() {
		problems = append(problems, Problem{Text: fmt.Sprintf("BARONG_SETTINGS: %s: %v", path, err)})
	}
	for _, e := range entries {
		name := fmt.Sprintf("%s in %s, line %d", e.Key, path, e.Line)
		f, ok := byKey[e.Key]
		if !ok {
			problems = append(problems, Problem{Text: unknown(name, e.Key, byKey, strings.ToLower)})
			continue
		}
		text, ok := fileText(e.Value)
		if !ok {
			problems = append(problems, Problem{f.key, name + ": must be text, a number, true or false, or a list of these", true})
			continue
		}
		if g, dup := given[f.key]; dup {
			problems = append(problems, Problem{Key: f.key, Text: fmt.Sprintf("%s and %s mean the same; give one", g.name, name)})
			continue
		}
		given[f.key] = source{text, name}
	}
	return problems
}

// fileText is the text of a value; false when it is a mapping, or a list of anything but scalars.
func fileText(n *yaml.Node) (string, bool) {
	scalar := func(n *yaml.Node) (string, bool) {
		if n.Tag == "!!null" {
			return "", true
		}
		return n.Value, n.Kind == yaml.ScalarNode
	}
	if n.Kind != yaml.SequenceNode {
		return scalar(n)
	}
	parts := make([]string, len(n.Content))
	for i, item := range n.Content {
		var ok bool
		if parts[i], ok = scalar(item); !ok {
			return "", false
		}
	}
	return strings.Join(parts, ","), true
}

// kubernetes matches the variables that a cluster makes for a Service whose name starts
// with barong; they are nobody's settings.
var kubernetes = regexp.MustCompile(`^([a-z0-9_]+_)?(service_host|service_port(_[a-z0-9_]+)?|port(_[0-9]+_(tcp|udp|sctp)(_(addr|port|proto))?)?)$`)

func fromEnvironment(env map[string]string, byKey map[string]field, given map[string]source) Problems {
	var problems Problems
	named := map[string]string{} // canonical key → variable that set it
	for _, key := range slices.Sorted(maps.Keys(env)) {
		variable := Prefix + strings.ToUpper(key)
		text := env[key]
		f, ok := byKey[key]
		if !ok {
			base, isFile := strings.CutSuffix(key, "_file")
			f, ok = byKey[base]
			switch {
			case isFile && ok && f.secret:
				b, err := os.ReadFile(text)
				if err != nil {
					problems = append(problems, Problem{f.key, fmt.Sprintf("%s: %v", variable, err), true})
					continue
				}
				text = strings.TrimRight(string(b), "\r\n")
			case kubernetes.MatchString(key):
				continue
			case isFile && ok:
				problems = append(problems, Problem{f.key, fmt.Sprintf("%s: %s is not a secret and cannot come from a file", variable, f.env()), true})
				continue
			default:
				problems = append(problems, Problem{Text: unknown(variable, key, byKey, func(k string) string {
					return Prefix + strings.ToUpper(k)
				})})
				continue
			}
		}
		if other, dup := named[f.key]; dup {
			problems = append(problems, Problem{Key: f.key, Text: fmt.Sprintf("%s and %s mean the same; give one", other, variable)})
			continue
		}
		named[f.key] = variable
		given[f.key] = source{text, variable}
	}
	return problems
}

// unknown says that a name is no setting's, and which one may be meant: its successor, if
// the service that this replaces had it; else the nearest name, if one is near.
func unknown(shown, key string, byKey map[string]field, style func(string) string) string {
	variable := Prefix + strings.ToUpper(key)
	for _, r := range replaced {
		if slices.Contains(strings.Fields(r.names), variable) {
			return fmt.Sprintf("%s: no setting any more: %s", shown, r.now)
		}
	}
	if best := nearest(key, slices.Sorted(maps.Keys(byKey))); best != "" {
		return fmt.Sprintf("%s: no such setting; the nearest is %s", shown, style(best))
	}
	return fmt.Sprintf("%s: no such setting; barong config docs lists all", shown)
}

// nearest is the known name that a name may have been meant for, "" for none: one that it
// begins, whole words of it, or else that with the fewest letters to change, add or drop, at
// most one in four.
func nearest(name string, known []string) string {
	best, least := "", len(name)/4+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	var longer []string
	for _, k := range known {
		if len(name) >= 6 && strings.HasPrefix(k, name+"_") {
			longer = append(longer, k)
		}
	}
	if len(longer) == 1 {
		return longer[0]
	}
	return ""
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// field is one setting.
type field struct {
	group, key, def, unit, doc string
	aliases, enum              []string
	secret                     bool
	min, max, match, follows   string
	index                      []int
	kind                       reflect.Type
}

func (f field) env() string { return Prefix + strings.ToUpper(f.key) }

func settingFields() []field {
	var out []field
	t := reflect.TypeFor[Settings]()
	for i := range t.NumField() {
		group := t.Field(i)
		for j := range group.Type.NumField() {
			sf := group.Type.Field(j)
			f := field{
				group: group.Tag.Get("group"), key: sf.Tag.Get("key"), def: sf.Tag.Get("default"),
				unit: sf.Tag.Get("unit"), doc: sf.Tag.Get("doc"), secret: sf.Tag.Get("secret") == "yes",
				min: sf.Tag.Get("min"), max: sf.Tag.Get("max"), match: sf.Tag.Get("match"),
				follows: sf.Tag.Get("follows"),
				index:   []int{i, j}, kind: sf.Type,
			}
			if a := sf.Tag.Get("alias"); a != "" {
				f.aliases = strings.Split(a, ",")
			}
			if e := sf.Tag.Get("enum"); e != "" {
				f.enum = strings.Split(e, ",")
			}
			out = append(out, f)
		}
	}
	return out
}

func (f field) set(root reflect.Value, text string) error {
	v := root.FieldByIndex(f.index)
	if f.kind.Kind() != reflect.String {
		text = strings.TrimSpace(text)
	}
	values := []string{text}
	if f.kind == reflect.TypeFor[[]string]() {
		values = splitList(text)
	}
	for _, one := range values {
		if f.enum != nil && !slices.Contains(f.enum, one) {
			return fmt.Errorf("must be one of %s; got %q", strings.Join(f.enum, ", "), one)
		}
	}
	switch v.Interface().(type) {
	case string, Secret:
		if f.match != "" && !regexp.MustCompile(f.match).MatchString(text) {
			return fmt.Errorf("must match %s; got %q", f.match, text)
		}
		v.SetString(text)
	case bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("must be true or false; got %q", text)
		}
		v.SetBool(text == "true")
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("must be a whole number; got %q", text)
		}
		return f.setInt(v, n)
	case time.Duration:
		d, err := parseDuration(text, f.unit)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
	case []string:
		v.Set(reflect.ValueOf(values))
	case []netip.Prefix:
		prefixes, err := parsePrefixes(text)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(prefixes))
	default:
		panic("config: no reader for " + f.kind.String() + " of " + f.key)
	}
	return nil
}

func (f field) setInt(v reflect.Value, n int) error {
	if f.min != "" {
		if least, _ := strconv.Atoi(f.min); n < least {
			return fmt.Errorf("must be at least %s; got %d", f.min, n)
		}
	}
	if f.max != "" {
		if most, _ := strconv.Atoi(f.max); n > most {
			return fmt.Errorf("must be at most %s; got %d", f.max, n)
		}
	}
	v.SetInt(int64(n))
	return nil
}

func parseDuration(text, unit string) (time.Duration, error) {
	one, plain := time.Second, "seconds"
	if unit == "ms" {
		one, plain = time.Millisecond, "milliseconds"
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 || n > int64(100*365*24*time.Hour/one) {
			return 0, fmt.Errorf("must not be negative or beyond a hundred years; got %q", text)
		}
		return time.Duration(n) * one, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("must be %s or a duration such as 5m or 250ms; got %q", plain, text)
	}
	if d < 0 {
		return 0, fmt.Errorf("must not be negative; got %q", text)
	}
	return d, nil
}

func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func parsePrefixes(text string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, part := range splitList(text) {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, aerr := netip.ParseAddr(part)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("must be a list of addresses or networks such as 10.0.0.0/8; got %q", part)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
