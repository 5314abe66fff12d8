package apitest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
)

// No parameter of any endpoint reaches the log, wherever a client puts it: in the path, in the query
// or in the body, with and without an account, where the request is refused, answered, or fails with
// a bug below it. The same secrets in paths that no endpoint answers do not reach it either.
func TestParametersAreNotLogged(t *testing.T) {
	w := apitest.New(t)
	w.Account.Unlimited = true
	w.Shipped()
	w.Restart()
	doc := expect.Must(w.Server().Document("test", "0"))(t)
	type visit struct {
		client *resttest.Client
		fault  error // of the database
	}
	visits := []visit{
		{w.Client(), nil}, {w.As("MEMBER"), nil}, {w.As("SUPERADMIN"), nil},
		{w.Client(), apitest.ErrBug}, {w.As("SUPERADMIN"), apitest.ErrBug}, {w.As("SUPERADMIN"), apitest.ErrOutage},
	}
	prefixes := w.Client().Prefixes()
	secrets := 0
	secret := func() string {
		secrets++
		return fmt.Sprintf("s3cret-%06d-of-a-parameter", secrets)
	}
	ask := func(by []visit, method, path string, names ...string) {
		query, body := url.Values{"undeclared": {secret()}}, map[string]any{"undeclared": secret()}
		for _, name := range names {
			query.Set(name, secret())
			body[name] = secret()
		}
		before := len(w.Log.String())
		for n, v := range by {
			w.Faults.Fail(v.fault, "User", "UserByEmail", "ChangePolicy", "Update", "Session")
			v.client.JSON(t, method, prefixes[n%len(prefixes)]+path+"?"+query.Encode(), body)
		}
		w.Server().Flush()
		lines := w.Log.String()[before:]
		if got := strings.Count(lines, `"msg":"request"`); got != len(by) {
			t.Errorf("%s %s: %d access lines of %d requests", method, path, got, len(by))
		}
		if strings.Contains(lines, "s3cret") {
			t.Errorf("%s %s: the log has a parameter: %s", method, path, lines)
		}
	}
	for template, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			path, names := template, []string(nil)
			for _, p := range op.Parameters {
				if p.Value.In == "path" {
					path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", secret())
				}
				names = append(names, p.Value.Name)
			}
			if op.RequestBody != nil {
				for name := range op.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties {
					names = append(names, name)
				}
			}
			ask(visits, method, path, names...)
		}
		ask(visits[:1], "GET", template+"/"+secret())
		ask(visits[:1], "TRACE", strings.ReplaceAll(template, "}", secret()+"}"))
	}
	var line map[string]any
	w.Client().Send(t, "DELETE", "/api/v2/resource/sessions/"+secret(), "", "")
	w.Server().Flush()
	all := strings.Split(strings.TrimSpace(w.Log.String()), "\n")
	expect.OK(t, json.Unmarshal([]byte(all[len(all)-1]), &line))
	expect.Equal(t, line["path"], any("/api/v2/resource/sessions/{handle}"))
}
