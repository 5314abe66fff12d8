package audittest

import (
	"context"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/expect"
)

// Journal is an audit.Journal with its reader.
type Journal interface {
	audit.Store
	audit.Journal
	AddUser(ctx context.Context, u *account.User) error
	UsersByUID(ctx context.Context, uids []string) (map[string]account.User, error)
}

// TestJournal is the suite that every audit.Journal passes; open returns an empty one.
func TestJournal(t *testing.T, open func(testing.TB) Journal) {
	t.Run("of users who exist, by every filter, newest first, in pages", func(t *testing.T) { journal(t, open(t)) })
	t.Run("users by uid are those that are there", func(t *testing.T) { usersByUID(t, open(t)) })
}

func addUser(t testing.TB, s Journal, uid, email string) account.User {
	t.Helper()
	u := account.User{UID: uid, Email: email, Role: "member", State: "active"}
	expect.OK(t, s.AddUser(t.Context(), &u))
	return u
}

func journal(t *testing.T, s Journal) {
	addUser(t, s, "ID1", "one@example.com")
	addUser(t, s, Known, "known@example.com")
	first, second, user, gone, nobody, service := entry("1"), entry("2"), entry("3"), entry("4"), entry("5"), entry("6")
	second.ActorUID, second.TargetUID, second.Topic, second.Action = Known, "", "", "update"
	second.CreatedAt = base.Add(time.Second)
	user.Category = audit.CategoryUser
	gone.ActorUID, nobody.ActorUID, gone.Category, nobody.Category = "ID404", "", audit.CategoryUser, audit.CategoryUser
	service.ActorUID, service.ActorKind, service.ActorRef, service.TargetUID, service.Topic = "", "service", "peer.example", "", "management"
	service.CreatedAt = base.Add(2 * time.Second)
	add(t, s, first, second, user, gone, nobody, service)
	text := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		change func(*audit.JournalQuery)
		want   string
	}{
		"all":                    {func(*audit.JournalQuery) {}, "621"},
		"category":               {func(q *audit.JournalQuery) { q.Category = audit.CategoryUser }, "3"},
		"a service's":            {func(q *audit.JournalQuery) { q.Topic = text("management") }, "6"},
		"no category":            {func(q *audit.JournalQuery) { q.Category = "" }, ""},
		"topic":                  {func(q *audit.JournalQuery) { q.Topic = text("labels") }, "1"},
		"the empty topic":        {func(q *audit.JournalQuery) { q.Topic = text("") }, "2"},
		"action":                 {func(q *audit.JournalQuery) { q.Action = text("update") }, "2"},
		"actor":                  {func(q *audit.JournalQuery) { q.ActorUID = text("ID1") }, "1"},
		"actor who is gone":      {func(q *audit.JournalQuery) { q.ActorUID = text("ID404") }, ""},
		"the actor's address":    {func(q *audit.JournalQuery) { q.ActorEmail = text(" Known@Example.com") }, "2"},
		"no address":             {func(q *audit.JournalQuery) { q.ActorEmail = text("") }, ""},
		"target":                 {func(q *audit.JournalQuery) { q.TargetUID = text(Known) }, "1"},
		"the empty target":       {func(q *audit.JournalQuery) { q.TargetUID = text("") }, ""},
		"from":                   {func(q *audit.JournalQuery) { q.From = base.Add(time.Second) }, "62"},
		"to":                     {func(q *audit.JournalQuery) { q.To = base.Add(time.Second) }, "1"},
		"all that contradict":    {func(q *audit.JournalQuery) { q.ActorUID, q.Action = text("ID1"), text("update") }, ""},
		"the second page":        {func(q *audit.JournalQuery) { q.Limit, q.Offset = 1, 1 }, "2"},
		"a page beyond the last": {func(q *audit.JournalQuery) { q.Limit, q.Offset = 1, 3 }, ""},
	} {
		q := audit.JournalQuery{Category: audit.CategoryAdmin, Limit: 10}
		c.change(&q)
		rows, n, err := s.Journal(t.Context(), q)
		expect.OK(t, err)
		want := map[byte]audit.Activity{'1': first.Activity, '2': second.Activity, '3': user.Activity, '6': service.Activity}
		if len(rows) != len(c.want) || q.Limit == 10 && n != len(rows) || q.Limit == 1 && n != 3 {
			t.Errorf("%s: got %d rows of %d, want %d", name, len(rows), n, len(c.want))
			continue
		}
		for i, r := range rows {
			equal(t, r, want[c.want[i]])
		}
	}
}

func usersByUID(t *testing.T, s Journal) {
	one, two := addUser(t, s, "ID1", "one@example.com"), addUser(t, s, "ID2", "two@example.com")
	got, err := s.UsersByUID(t.Context(), []string{"ID2", "ID404", "ID1", "ID1"})
	expect.OK(t, err)
	if len(got) != 2 || got["ID1"].Email != one.Email || got["ID2"].ID != two.ID {
		t.Errorf("got %v, want ID1 and ID2", got)
	}
	if got, err := s.UsersByUID(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v; want nothing", got, err)
	}
}
