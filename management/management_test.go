package management_test

import (
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/rest/resttest"
)

func TestMain(m *testing.M) { resttest.Main(m, "testdata/endpoints.tsv") }

const base = "/api/v2/management"

type m map[string]any

// world has the built-in permissions and levels, and a user of every role, whose uid is the role in
// capitals.
type world struct{ *apitest.World }

func newWorld(t testing.TB) world {
	t.Helper()
	w := world{apitest.New(t)}
	w.Shipped()
	w.Levels()
	return w
}

// peers is a client whose bodies alex and jeff sign.
func (w world) peers() *resttest.Client { return w.Peer("alex", "jeff") }

// ask sends parameters to a path below base.
func (w world) ask(t testing.TB, path string, params any) resttest.Answer {
	t.Helper()
	return w.peers().JSON(t, "POST", base+path, params)
}

// labels of a user as "key:value scope".
func (w world) labels(uid string) (all []string) {
	w.T.Helper()
	list, err := w.DB.Labels(w.T.Context(), uid)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, l := range list {
		all = append(all, l.Key+":"+l.Value+" "+l.Scope)
	}
	return all
}

// addLabel gives a user a label behind the API.
func (w world) addLabel(uid, key, value, scope string) {
	w.T.Helper()
	if err := w.DB.PutLabel(w.T.Context(), &account.Label{UserUID: uid, Key: key, Value: value, Scope: scope}); err != nil {
		w.T.Fatal(err)
	}
}
