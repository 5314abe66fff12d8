package main

import (
	"net/url"
	"slices"
	"strconv"
	"testing"

	"barong/internal/audit"
	"barong/policy"
)

type restrictionRow struct {
	ID                     int64
	Category, Scope, State string
}

// Locked out by maintenance, the operator switches the restriction off beside the running service, and
// the next request is answered.
func TestBreakGlass(t *testing.T) {
	const maintenance = "maintenance"
	dir := t.TempDir()
	p := serving(t, dir)
	c := beside(t, dir)
	admin := newBrowser(p).signIn(firstAdmin, p.password())
	var rows []restrictionRow
	into(t, c.run("", "restrictions list --format json").want(t, 0).out, &rows)
	at := slices.IndexFunc(rows, func(r restrictionRow) bool { return r.Category == maintenance && r.Scope == policy.ScopeAll })
	if at < 0 {
		t.Fatalf("the seeds have no maintenance: %+v", rows)
	}
	id := strconv.FormatInt(rows[at].ID, 10)
	admin.want(200, "", "PUT", "/api/v2/admin/restrictions", url.Values{"id": {id}, "state": {policy.Enabled}, "force": {"true"}})
	stranger := newBrowser(p)
	stranger.want(471, "", "GET", "/api/v2/public/time", nil)

	into(t, c.run("", "restrictions list --state enabled --format json").want(t, 0).out, &rows)
	if len(rows) != 1 || rows[0].Category != maintenance {
		t.Fatalf("got %+v, want the maintenance alone", rows)
	}
	inOrder(t, c.run("", "restrictions list").want(t, 0).out, "ID", id, "enabled", "maintenance")
	c.run("", "restrictions disable "+id).want(t, 0)
	stranger.want(200, "", "GET", "/api/v2/public/time", nil)
	c.run("", "restrictions disable "+id).want(t, 0) // it is
	c.run("", "restrictions disable 1").want(t, 1, "no restriction has the id 1")

	p.stop()
	c.run("", "restrictions disable "+id).want(t, 0)
	acts, _, err := openStore(t, p.data()).Activities(t.Context(), audit.Query{Topic: "restrictions"})
	if err != nil || len(acts) != 2 || acts[0].ActorRef != "restrictions disable" || acts[0].Category != audit.CategoryAdmin {
		t.Errorf("got %+v, %v; want the change and its undoing", acts, err)
	}
}
