package resttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// Coverage records the requests of a package's tests and the answers of its endpoints, to be held
// against the promises: the zero value has seen nothing. It is safe for concurrent use.
type Coverage struct {
	mu       sync.Mutex
	doc      *openapi3.T
	seen     map[string]*sightings // by "POST /identity/sessions"
	prefixes []string
}

type sightings struct {
	prefixes, params, tokens map[string]bool
	statuses                 map[int]bool
}

// describe notes the promises of the server.
func (c *Coverage) describe(doc *openapi3.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doc, c.prefixes = doc, nil
	for _, s := range doc.Servers {
		c.prefixes = append(c.prefixes, s.URL)
	}
}

func (c *Coverage) note(at place, r *http.Request, body string, a Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]*sightings{}
	}
	key := at.method + " " + at.template
	s := c.seen[key]
	if s == nil {
		s = &sightings{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[int]bool{}}
		c.seen[key] = s
	}
	s.prefixes[at.prefix] = true
	for _, name := range sentParams(r, body) {
		s.params[name] = true
	}
	var refusal struct{ Errors []string }
	_ = json.Unmarshal([]byte(a.Body), &refusal) // a success may be anything
	own := len(refusal.Errors) == 0
	for _, t := range refusal.Errors {
		s.tokens[t] = true
		own = own || !anyones(t)
	}
	if own { // a body that nobody could read proves nothing about the endpoint
		s.statuses[a.Status] = true
	}
}

// anyones reports whether a token is one that any endpoint may answer.
func anyones(token string) bool {
	return strings.HasPrefix(token, "server.")
}

// sentParams names the parameters of a request, headers among them, the member names of
// objects left out.
func sentParams(r *http.Request, body string) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(r.URL.Query())), maps.Keys(r.Header))
	switch media, args, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case "application/x-www-form-urlencoded":
		form, _ := url.ParseQuery(body)
		names = slices.AppendSeq(names, maps.Keys(form))
	case "multipart/form-data":
		form, err := multipart.NewReader(strings.NewReader(body), args["boundary"]).ReadForm(1 << 20)
		if err == nil {
			names = slices.AppendSeq(slices.AppendSeq(names, maps.Keys(form.Value)), maps.Keys(form.File))
			_ = form.RemoveAll() // the system cleans the rest
		}
	default:
		var object map[string]json.RawMessage
		_ = json.Unmarshal([]byte(body), &object)
		names = slices.AppendSeq(names, maps.Keys(object))
	}
	for i, name := range names {
		names[i], _, _ = strings.Cut(name, "[")
	}
	return names
}

// A promise is a row of an endpoint table, taken from the published documents.
type promise struct {
	key      string // "POST /identity/sessions"
	params   []string
	statuses []int
}

// Tables name the files of promises, each of tab-separated rows under a header line. Rows of
// namespaces that Promised does not have are passed over.
type Tables struct {
	// Promised lists the endpoints of the published documents: namespace, method, path, params,
	// statuses. Each endpoint must have answered under every prefix, been sent every parameter, and
	// answered every status; so must every status and token that the server's own document declares
	// for an endpoint of these namespaces.
	Promised string
	// Differences lists answers that are never sent although a document has them: method, path,
	// status, token, rule. A row excuses a status, or one token of it. A row that excuses nothing
	// is a problem, as is one about an answer that was seen.
	Differences string
	// ToCome lists promised endpoints that are not mounted yet: method, path, reason. A row about
	// an endpoint that is mounted, or that nobody has promised, is a problem.
	ToCome string
}

// Missing compares the record with the tables and with the server's own document, and returns
// the problems, in words.
func (c *Coverage) Missing(tables Tables) []string {
	promises, namespaces, err := readPromises(tables.Promised)
	if err != nil {
		return []string{err.Error()}
	}
	excuses, err := readExcuses(tables.Differences, namespaces)
	if err != nil {
		return []string{err.Error()}
	}
	toCome, err := readToCome(tables.ToCome, namespaces)
	if err != nil {
		return []string{err.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &ledger{excuses: excuses, used: map[excuse]bool{}}
	if c.doc == nil {
		return []string{"nothing was recorded"}
	}
	mounted := operations(c.doc)
	for _, p := range promises {
		if toCome[p.key] && mounted[p.key] == nil {
			delete(toCome, p.key)
			continue
		}
		s := c.seen[p.key]
		if s == nil {
			l.add("%s: no test asks for it", p.key)
			continue
		}
		for _, prefix := range c.prefixes {
			if !s.prefixes[prefix] {
				l.add("%s: no test asks for it under %s", p.key, prefix)
			}
		}
		for _, name := range p.params {
			if !s.params[name] {
				l.add("%s: no test sends %s", p.key, name)
			}
		}
		for _, status := range p.statuses {
			l.want(s.statuses[status], excuse{p.key, status, ""}, "is documented")
		}
	}
	for key := range toCome {
		l.add("%s: %s is mounted, or in no document", tables.ToCome, key)
	}
	for key, op := range mounted {
		_, path, _ := strings.Cut(key, " ")
		if namespace := namespaceOf(path); !slices.Contains(namespaces, namespace) {
			continue
		}
		s := c.seen[key]
		if s == nil {
			l.add("%s: no test asks for it", key)
			continue
		}
		for _, name := range declaredParams(op) {
			if !s.params[name] {
				l.add("%s: no test sends %s", key, name)
			}
		}
		for status, tokens := range declared(op) {
			l.want(s.statuses[status], excuse{key, status, ""}, "is declared")
			for _, t := range tokens {
				l.want(s.tokens[t], excuse{key, status, t}, "is declared")
			}
		}
	}
	for e := range excuses {
		if !l.used[e] {
			l.add("%s: %s needs no excuse", tables.Differences, e)
		}
	}
	slices.Sort(l.problems)
	return slices.Compact(l.problems)
}

// ledger collects the differences.
type ledger struct {
	excuses  map[excuse]bool
	used     map[excuse]bool
	problems []string
}

func (l *ledger) add(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// want notes an answer that was not seen and has no excuse, or has one and was seen.
func (l *ledger) want(seen bool, e excuse, why string) {
	whole := excuse{e.key, e.status, ""}
	for _, x := range []excuse{e, whole} {
		if l.excuses[x] {
			l.used[x] = true
			if seen && x == e {
				l.add("%s was seen, yet has an excuse", e)
			}
			return
		}
	}
	if !seen {
		l.add("%s %s and no test sees it", e, why)
	}
}

// An excuse is a status, or a token of it, that is never sent.
type excuse struct {
	key    string
	status int
	token  string
}

func (e excuse) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %d %s", e.key, e.status, e.token))
}

// operations are those of a document by method and path.
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	out := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			out[method+" "+path] = op
		}
	}
	return out
}

// declared are the statuses that are the endpoint's own, with their tokens.
func declared(op *openapi3.Operation) map[int][]string {
	out := map[int][]string{}
	for code, r := range op.Responses.Map() {
		status, err := strconv.Atoi(code)
		if err != nil || r.Ref != "" {
			continue // any endpoint may answer so
		}
		var tokens []string
		all := 0
		if media := r.Value.Content.Get("application/json"); media != nil {
			for _, t := range tokensOf(media.Schema) {
				if all++; !anyones(t) {
					tokens = append(tokens, t)
				}
			}
		}
		if all == 0 || len(tokens) > 0 {
			out[status] = tokens
		}
	}
	return out
}

// declaredParams are those of query, header and body.
func declaredParams(op *openapi3.Operation) (names []string) {
	for _, p := range op.Parameters {
		if p.Value.In != openapi3.ParameterInPath {
			names = append(names, p.Value.Name)
		}
	}
	if op.RequestBody == nil {
		return names
	}
	for _, media := range op.RequestBody.Value.Content {
		names = slices.AppendSeq(names, maps.Keys(media.Schema.Value.Properties))
	}
	return names
}

// tokensOf lists the tokens that a body of refusals may hold.
func tokensOf(ref *openapi3.SchemaRef) (tokens []string) {
	if ref == nil || ref.Value == nil {
		return nil
	}
	for _, one := range ref.Value.OneOf {
		tokens = append(tokens, tokensOf(one)...)
	}
	list := ref.Value.Properties["errors"]
	if list == nil || list.Value.Items == nil {
		return tokens
	}
	items := list.Value.Items.Value
	for _, one := range append(openapi3.SchemaRefs{{Value: items}}, items.AnyOf...) { // those with a word are beside the others
		for _, t := range one.Value.Enum {
			tokens = append(tokens, fmt.Sprint(t))
		}
	}
	return tokens
}

func readPromises(file string) (all []promise, namespaces []string, err error) {
	rows, err := table(file, "namespace", "method", "path", "params", "statuses")
	for _, row := range rows {
		p := promise{key: row[1] + " " + row[2], params: words(row[3])}
		for _, text := range words(row[4]) {
			status, err := strconv.Atoi(text)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: status %q", file, text)
			}
			p.statuses = append(p.statuses, status)
		}
		if !slices.Contains(namespaces, row[0]) {
			namespaces = append(namespaces, row[0])
		}
		all = append(all, p)
	}
	return all, namespaces, err
}

func readExcuses(file string, namespaces []string) (map[excuse]bool, error) {
	rows, err := table(file, "method", "path", "status", "token", "rule")
	out := map[excuse]bool{}
	for _, row := range rows {
		if !slices.Contains(namespaces, namespaceOf(row[1])) {
			continue
		}
		status, err := strconv.Atoi(row[2])
		if err != nil || row[4] == "" {
			return nil, fmt.Errorf("%s: row %q wants a status and a rule", file, row)
		}
		out[excuse{row[0] + " " + row[1], status, row[3]}] = true
	}
	return out, err
}

// readToCome returns the keys of endpoints that are not there yet.
func readToCome(file string, namespaces []string) (map[string]bool, error) {
	rows, err := table(file, "method", "path", "reason")
	out := map[string]bool{}
	for _, row := range rows {
		switch {
		case row[2] == "":
			return nil, fmt.Errorf("%s: row %q wants a reason", file, row)
		case slices.Contains(namespaces, namespaceOf(row[1])):
			out[row[0]+" "+row[1]] = true
		}
	}
	return out, err
}

// namespaceOf is the first segment of an endpoint's path.
func namespaceOf(path string) string {
	namespace, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return namespace
}

// table reads a file of tab-separated rows under a header line.
func table(file string, columns ...string) (rows [][]string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		row := strings.Split(line, "\t")
		if len(row) != len(columns) || i == 0 && !slices.Equal(row, columns) {
			return nil, fmt.Errorf("%s: line %d has %d columns, want %s", file, i+1, len(row), strings.Join(columns, ", "))
		}
		if i > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' })
}
