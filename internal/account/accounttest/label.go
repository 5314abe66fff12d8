package accounttest

import (
	"testing"
	"time"

	"barong/internal/account"
)

func newLabel(uid, key, scope string) account.Label {
	return account.Label{UserUID: uid, Key: key, Value: "verified", Scope: scope, Description: new("by phone")}
}

func labelRoundTrip(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	want := newLabel(u.UID, "email", account.ScopePrivate)
	Must(t, s.PutLabel(t.Context(), &want))
	if want.ID == 0 {
		t.Fatal("ID is 0")
	}
	Recent(t, want.CreatedAt)
	got, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	Must(t, err)
	Equal(t, got, want)
}

func labelScopes(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	private, public := newLabel(u.UID, "email", account.ScopePrivate), newLabel(u.UID, "email", account.ScopePublic)
	public.Value = "mine"
	Must(t, s.PutLabel(t.Context(), &private))
	Must(t, s.PutLabel(t.Context(), &public))
	got, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	Must(t, err)
	Equal(t, got, private)
	Must(t, s.DeleteLabel(t.Context(), u.UID, "email", account.ScopePublic))
	all, err := s.Labels(t.Context(), u.UID)
	Must(t, err)
	Equal(t, all, []account.Label{private})
}

func labelUpdate(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	first := newLabel(u.UID, "email", account.ScopePrivate)
	Must(t, s.PutLabel(t.Context(), &first))
	second := newLabel(u.UID, "email", account.ScopePrivate)
	second.Value, second.Description = "rejected", nil
	Must(t, s.PutLabel(t.Context(), &second))
	Equal(t, second.ID, first.ID)
	Equal(t, second.CreatedAt, first.CreatedAt)
	got, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	Must(t, err)
	Equal(t, got, second)
}

func labelNotFound(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	_, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	WantErr(t, err, account.ErrNoLabel)
	WantErr(t, s.DeleteLabel(t.Context(), u.UID, "email", account.ScopePrivate), account.ErrNoLabel)
	l := newLabel("ID404", "email", account.ScopePrivate)
	WantErr(t, s.PutLabel(t.Context(), &l), account.ErrNoUser)
}

func labelList(t *testing.T, s Store) {
	one, two := AddUser(t, s, "1"), AddUser(t, s, "2")
	var want []account.Label
	for _, key := range []string{"phone", "email", "document"} {
		l, other := newLabel(one.UID, key, account.ScopePrivate), newLabel(two.UID, key, account.ScopePrivate)
		Must(t, s.PutLabel(t.Context(), &l))
		Must(t, s.PutLabel(t.Context(), &other))
		want = append(want, l)
	}
	got, err := s.Labels(t.Context(), one.UID)
	Must(t, err)
	Equal(t, got, want)
	got, err = s.Labels(t.Context(), "ID404")
	Must(t, err)
	if len(got) != 0 {
		t.Errorf("unknown user: got %v, want none", got)
	}
}

func labelCounts(t *testing.T, s Store) {
	got, err := s.LabelCounts(t.Context())
	Must(t, err)
	Equal(t, got, []account.LabelCount(nil))
	one, two := AddUser(t, s, "1"), AddUser(t, s, "2")
	for _, l := range []account.Label{
		{UserUID: one.UID, Key: "phone", Value: "verified", Scope: account.ScopePrivate},
		{UserUID: one.UID, Key: "email", Value: "verified", Scope: account.ScopePrivate},
		{UserUID: two.UID, Key: "email", Value: "verified", Scope: account.ScopePrivate},
		{UserUID: two.UID, Key: "phone", Value: "rejected", Scope: account.ScopePrivate},
		{UserUID: two.UID, Key: "phone", Value: "verified", Scope: account.ScopePublic},
	} {
		Must(t, s.PutLabel(t.Context(), &l))
	}
	got, err = s.LabelCounts(t.Context())
	Must(t, err)
	Equal(t, got, []account.LabelCount{{Key: "email", Value: "verified", Users: 2}, {Key: "phone", Value: "rejected", Users: 1}, {Key: "phone", Value: "verified", Users: 1}})
}

func idsNotReused(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	first := newLabel(u.UID, "email", account.ScopePrivate)
	Must(t, s.PutLabel(t.Context(), &first))
	Must(t, s.DeleteLabel(t.Context(), u.UID, "email", account.ScopePrivate))
	second := newLabel(u.UID, "email", account.ScopePrivate)
	Must(t, s.PutLabel(t.Context(), &second))
	if second.ID <= first.ID {
		t.Fatalf("got id %d after %d was removed", second.ID, first.ID)
	}
}

func levelRoundTrip(t *testing.T, s Store) {
	three := account.Level{ID: 3, Key: "document", Value: "verified", Description: new("papers")}
	one := account.Level{ID: 1, Key: "email", Value: "verified"}
	Must(t, s.PutLevel(t.Context(), three))
	Must(t, s.PutLevel(t.Context(), one))
	got, err := s.Levels(t.Context())
	Must(t, err)
	Equal(t, got, []account.Level{one, three})
	one.Value, one.Description = "confirmed", new("by mail")
	Must(t, s.PutLevel(t.Context(), one))
	got, err = s.Levels(t.Context())
	Must(t, err)
	Equal(t, got, []account.Level{one, three})
}

func levelTaken(t *testing.T, s Store) {
	Must(t, s.PutLevel(t.Context(), account.Level{ID: 1, Key: "email", Value: "verified"}))
	WantErr(t, s.PutLevel(t.Context(), account.Level{ID: 2, Key: "email", Value: "verified"}), account.ErrTaken)
	Must(t, s.PutLevel(t.Context(), account.Level{ID: 2, Key: "email", Value: "other"}))
}

func labelHolders(t *testing.T, s Store) {
	var uids []string
	for i, n := range []string{"1", "2", "3", "4"} {
		u := AddUser(t, s, n)
		uids = append(uids, u.UID)
		for _, l := range []account.Label{
			{Key: "email", Value: "verified", Scope: account.ScopePrivate}, {Key: "email", Value: "verified", Scope: account.ScopePublic},
			{Key: "phone", Value: "v" + n + "x", Scope: account.ScopePublic},
		} {
			if l.UserUID = u.UID; i < 3 || l.Key == "phone" {
				Must(t, s.PutLabel(t.Context(), &l))
			}
		}
	}
	labels, err := s.Labels(t.Context(), uids[1])
	Must(t, err)
	at := labels[0].CreatedAt
	for _, c := range []struct {
		q     account.LabelQuery
		want  []string
		total int
	}{
		{account.LabelQuery{Key: "email"}, uids[:3], 3},
		{account.LabelQuery{Key: "email", Limit: 2}, uids[:2], 3},
		{account.LabelQuery{Key: "email", Limit: 2, Offset: 2}, uids[2:3], 3},
		{account.LabelQuery{Key: "email", Limit: 2, Offset: 3}, nil, 3},
		{account.LabelQuery{Key: "phone"}, uids, 4},
		{account.LabelQuery{Key: "phone", Value: "v2x"}, uids[1:2], 1},
		{account.LabelQuery{Key: "phone", Scope: account.ScopePrivate}, nil, 0},
		{account.LabelQuery{Key: "email", Scope: account.ScopePublic, Value: "verified"}, uids[:3], 3},
		{account.LabelQuery{Key: "email", Scope: "other"}, nil, 0},
		{account.LabelQuery{Key: "email", From: at.Add(-time.Hour), To: at.Add(time.Hour)}, uids[:3], 3},
		{account.LabelQuery{Key: "email", To: at.Add(-time.Hour)}, nil, 0},
		{account.LabelQuery{Key: "email", From: at.Add(time.Hour), Updated: true}, nil, 0},
	} {
		got, total, err := s.LabelHolders(t.Context(), c.q)
		Must(t, err)
		var names []string
		for _, u := range got {
			names = append(names, u.UID)
		}
		Equal(t, names, c.want)
		Equal(t, total, c.total)
	}
}
