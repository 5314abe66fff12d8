package resource_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/account/worldtest"
	"barong/internal/apitest"
	"barong/internal/limit"
	"barong/internal/rest/resttest"
	"barong/internal/store/storetest"
)

// A user never reads or changes the belongings of another: every endpoint, asked with each identifier of
// the other in each parameter, and with all identifiers of one thing at once. A new endpoint is walked
// by its declaration; a new table has a row of the other's by apitest.Furnish.
func TestStrangersReachNothing(t *testing.T) {
	for engine, open := range map[string]func(testing.TB) *apitest.World{"sqlite": apitest.New, "postgres": apitest.NewPostgres} {
		t.Run(engine, func(t *testing.T) { newStrangers(t, open(t)).walk() })
	}
}

// mark begins every text that is the first user's alone.
const mark = "canary"

// strangers are two users with the same belongings: the second asks for those of the first.
type strangers struct {
	*world
	second settler
	// shared are the texts that both have: they betray nobody. known are those that the second has
	// stored: answers may hold them.
	shared, known map[string]bool
	identifiers   []identifier
	before        []storetest.Table
}

// settler is a user with belongings.
type settler struct {
	uid, robot string
	code       func() string
	client     *resttest.Client
}

// identifier is a value that names something of the first user's, under the name of its column or of
// its member in an answer.
type identifier struct {
	name  string
	value any // string or int64
}

func newStrangers(t *testing.T, w *apitest.World) *strangers {
	w.Account.Unlimited = true
	w.Account.Code = limit.Rule{Burst: 1 << 20, Period: time.Second}
	w.Account.QR = w.Account.Code
	w.Account.StorageTitles = []string{"settings"}
	inbox := &worldtest.Inbox{}
	w.Account.Phones = inbox
	w.Restart()
	s := &strangers{world: peopled(t, w), known: map[string]bool{}}
	s.settle(me, robot, mark)
	s.identifiers = []identifier{{"phone_number", numberOf(me)}, {"verification_code", sentCode(t, inbox)}}
	s.second = s.settle(stranger, foreign, "second")
	s.shared = s.texts(stranger)
	for _, name := range []string{"settings", apitest.Agent, w.IP.String()} {
		s.shared[name] = true
	}
	for _, id := range s.identify() {
		if text := fmt.Sprint(id.value); !s.shared[text] {
			s.identifiers = append(s.identifiers, id)
		}
	}
	if len(s.identifiers) < 30 {
		t.Fatalf("the first user has %d identifiers, want more: %v", len(s.identifiers), s.identifiers)
	}
	s.before = s.belongings(me)
	return s
}

// settle gives a user something of every kind, by the API where it has that kind.
func (s *strangers) settle(uid, robot, mark string) settler {
	s.T.Helper()
	one := settler{uid: uid, robot: robot, code: s.SecondFactor(uid)}
	cookie := s.open(uid)
	one.client = within(s.As(uid), cookie)
	for _, x := range []struct {
		method, path string
		body         map[string]any
	}{
		{"POST", "/labels", map[string]any{"key": mark + "-key", "value": mark + "-value"}},
		{"POST", "/phones", map[string]any{"phone_number": numberOf(uid)}},
		{"PUT", "/users/me", map[string]any{"data": `{"note":"` + mark + `-data"}`}},
		{"POST", "/data_storage", map[string]any{"title": "settings", "data": `{"note":"` + mark + `-storage"}`}},
		{"POST", "/profiles", map[string]any{
			"first_name": mark + " first", "last_name": mark + " last", "dob": "1990-01-01", "address": mark + " street",
			"postcode": mark, "city": mark + " city", "country": "MLT", "metadata": `{"note":"` + mark + `-metadata"}`,
		}},
		{"POST", "/api_keys", map[string]any{"algorithm": "HS256", "scope": "trade"}},
		{"POST", "/service_accounts/api_keys", map[string]any{"algorithm": "HS256", "scope": "trade", "service_account_uid": robot}},
	} {
		target := base + x.path
		if strings.HasSuffix(x.path, "api_keys") {
			target += "?totp_code=" + one.code()
		}
		if a := one.client.JSON(s.T, x.method, target, x.body); a.Status >= 300 {
			s.T.Fatalf("%s %s: %d %s", x.method, x.path, a.Status, a.Body)
		}
	}
	s.Furnish(uid, mark)
	return one
}

func (s *strangers) belongings(uid string) []storetest.Table {
	s.T.Helper()
	raw := storetest.Raw(s.T, s.URL)
	return storetest.Belonging(storetest.Tables(s.T, raw), storetest.References(s.T, raw), uid)
}

// texts are all values in the rows of a user, and in the answers that the user gets.
func (s *strangers) texts(uid string) map[string]bool {
	s.T.Helper()
	all := map[string]bool{}
	for _, id := range s.everything(uid) {
		all[fmt.Sprint(id.value)] = true
	}
	return all
}

func (s *strangers) everything(uid string) (all []identifier) {
	s.T.Helper()
	for _, table := range s.belongings(uid) {
		for _, row := range table.Rows {
			for i, v := range row {
				switch v := v.(type) {
				case string, int64:
					all = append(all, identifier{table.Name + "." + table.Columns[i], v})
				}
			}
		}
	}
	c := s.As(uid)
	for _, op := range c.Operations("resource") {
		if op.Method != "GET" || strings.Contains(op.Path, "{") || strings.Contains(op.Path, "swagger_doc") {
			continue
		}
		target, _ := op.Request("/api/v2", s.plausible(op, settler{uid: uid, robot: robotOf(uid)}))
		var v any
		if a := c.Get(s.T, target); a.Status == 200 {
			a.Into(s.T, &v)
			all = append(all, leaves("", v)...)
		}
	}
	return all
}

func numberOf(uid string) string {
	if uid == me {
		return phone
	}
	return otherPhone
}

func robotOf(uid string) string {
	if uid == me {
		return robot
	}
	return foreign
}

// leaves are the texts and whole numbers in an answer, by the names of their members.
func leaves(name string, v any) (all []identifier) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			all = append(all, leaves(name, one)...)
		}
	case map[string]any:
		for _, member := range slices.Sorted(maps.Keys(v)) {
			all = append(all, leaves(member, v[member])...)
		}
	case string:
		all = append(all, identifier{name, v})
	case float64:
		all = append(all, identifier{name, int64(v)})
	}
	return all
}

// identify picks the values by which something could be asked for: short ones that are not masked, each
// once under each of its names.
func (s *strangers) identify() (ids []identifier) {
	s.T.Helper()
	seen := map[identifier]bool{}
	for _, id := range s.everything(me) {
		text := fmt.Sprint(id.value)
		if text == "" || len(text) > 64 || strings.ContainsAny(text, "{*\n") || isTime(id.name) || seen[id] {
			continue
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids
}

func isTime(name string) bool {
	return strings.HasSuffix(name, "_at") || strings.HasSuffix(name, ".day")
}

// plausible are values that one may send for the parameters of op about oneself: every check but that
// of the owner lets them pass.
func (s *strangers) plausible(op resttest.Operation, of settler) map[string]any {
	values := map[string]any{}
	for _, p := range op.Params {
		values[p.Name] = s.valueFor(p, of)
	}
	return values
}

func (s *strangers) valueFor(p resttest.Param, of settler) any {
	switch {
	case p.Name == "totp_code", p.Name == "otp_code", p.Name == "code":
		if of.code == nil {
			return "000000"
		}
		return of.code()
	case p.Name == "service_account_uid":
		return of.robot
	case p.Name == "phone_number":
		return numberOf(of.uid)
	case p.Name == "state":
		return "inactive"
	case p.Name == "title":
		return "settings"
	}
	return apitest.Plausible(p)
}

// ending are the operations after which the second user has no account or no second factor to ask
// with: they come last, and have no parameter that names anything.
var ending = map[string]bool{
	"DELETE /resource/users/me": true, "POST /resource/otp/disable": true, "PUT /resource/users/password": true,
}

func (s *strangers) walk() {
	// Reading comes first: later the second user has stored the names of the first one's things.
	all := s.second.client.Operations("resource")
	slices.SortStableFunc(all, func(a, b resttest.Operation) int { return rank(a) - rank(b) })
	if len(all) < 30 {
		s.T.Fatalf("%d operations, want all", len(all))
	}
	for _, op := range all {
		s.ask(op, s.plausible(op, s.second))
		if ending[op.String()] {
			s.untouched(op)
			continue
		}
		for _, p := range op.Params {
			if p.In == "header" || p.Name == "password" { // a proof, which names nothing
				continue
			}
			for _, id := range s.identifiers {
				if p.Schema.Type.Is("integer") && reflect.TypeOf(id.value) != reflect.TypeFor[int64]() {
					continue
				}
				values := s.plausible(op, s.second)
				values[p.Name] = id.value
				s.ask(op, values)
			}
		}
		for values := range s.together(op) {
			s.ask(op, values)
		}
		s.untouched(op)
	}
}

func rank(op resttest.Operation) int {
	switch {
	case ending[op.String()]:
		return 2
	case op.Method == "GET":
		return 0
	}
	return 1
}

// together has in every parameter that names something one of the first user's things of that name, in
// all combinations.
func (s *strangers) together(op resttest.Operation) func(yield func(map[string]any) bool) {
	var names []string
	choices := map[string][]any{}
	for _, p := range op.Params {
		for _, id := range s.identifiers {
			if named(id.name, p.Name) {
				choices[p.Name] = append(choices[p.Name], id.value)
			}
		}
		if len(choices[p.Name]) > 0 {
			names = append(names, p.Name)
		}
	}
	return func(yield func(map[string]any) bool) {
		if len(names) < 2 {
			return
		}
		for n := 0; ; n++ {
			values, rest := s.plausible(op, s.second), n
			for _, name := range names {
				values[name] = choices[name][rest%len(choices[name])]
				rest /= len(choices[name])
			}
			if rest > 0 || n > 200 || !yield(values) {
				return
			}
		}
	}
}

// named reports whether a column or member has the values of a parameter: kid has those of kid,
// service_accounts.uid has those of service_account_uid.
func named(column, parameter string) bool {
	table, name, ok := strings.Cut(column, ".")
	if !ok {
		return column == parameter
	}
	return name == parameter || strings.TrimSuffix(table, "s")+"_"+name == parameter
}

// ask sends a request of the second user, and holds the answer to saying nothing of the first.
func (s *strangers) ask(op resttest.Operation, values map[string]any) {
	s.T.Helper()
	target, body := op.Request("/api/v2", values)
	var sent any
	if body != nil {
		sent = body
	}
	a := s.second.client.JSON(s.T, op.Method, target, sent)
	if a.Status >= 500 {
		s.T.Errorf("%s with %v: %d %s", op, values, a.Status, a.Body)
	}
	allowed := map[string]bool{}
	for _, v := range values {
		allowed[fmt.Sprint(v)] = true
	}
	if a.Status < 300 && op.Method != "GET" {
		maps.Copy(s.known, allowed)
	}
	for _, text := range answered(a.Body) {
		if strings.Contains(text, mark) && !allowed[text] && !s.known[text] {
			s.T.Errorf("%s with %v: the answer has %q of another's: %d %s", op, values, text, a.Status, a.Body)
		}
		if slices.ContainsFunc(s.identifiers, func(id identifier) bool { return len(text) >= 8 && id.value == text }) &&
			!allowed[text] && !s.known[text] {
			s.T.Errorf("%s with %v: the answer names %q of another's: %d %s", op, values, text, a.Status, a.Body)
		}
	}
}

// answered are the texts of an answer; one that is no JSON is a text itself.
func answered(body string) (all []string) {
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return []string{body}
	}
	for _, leaf := range leaves("", v) {
		if text, ok := leaf.value.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// untouched compares the rows of the first user with those of before.
func (s *strangers) untouched(op resttest.Operation) {
	s.T.Helper()
	now := s.belongings(me)
	if reflect.DeepEqual(now, s.before) {
		return
	}
	s.T.Errorf("%s changed what belongs to another:\n%s", op, differences(s.before, now))
	s.before = now
}

func differences(before, now []storetest.Table) string {
	lines := func(tables []storetest.Table) map[string]bool {
		all := map[string]bool{}
		for _, table := range tables {
			for _, row := range table.Rows {
				all[table.Name+" "+fmt.Sprint(row)] = true
			}
		}
		return all
	}
	var out []string
	old, fresh := lines(before), lines(now)
	for line := range old {
		if !fresh[line] {
			out = append(out, "- "+line)
		}
	}
	for line := range fresh {
		if !old[line] {
			out = append(out, "+ "+line)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
