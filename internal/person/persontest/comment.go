package persontest

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/person"
)

func commentRoundTrip(t *testing.T, s Store) {
	u, author, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2"), accounttest.AddUser(t, s, "3")
	one := person.Comment{UserUID: u.UID, AuthorUID: author.UID, Title: "Ё title", Data: "data"}
	two := person.Comment{UserUID: u.UID, AuthorUID: u.UID, Title: "second", Data: "{}"}
	accounttest.Must(t, s.AddComment(t.Context(), &one))
	accounttest.Must(t, s.AddComment(t.Context(), &two))
	accounttest.Recent(t, one.CreatedAt)
	accounttest.Equal(t, one.UpdatedAt, one.CreatedAt)
	list := func(uid string) []person.Comment {
		all, err := s.Comments(t.Context(), uid)
		accounttest.Must(t, err)
		return all
	}
	accounttest.Equal(t, list(u.UID), []person.Comment{one, two})
	accounttest.Equal(t, len(list(other.UID)), 0)

	changed := person.Comment{ID: one.ID, Title: "new title", Data: "new data"}
	accounttest.Must(t, s.PutComment(t.Context(), &changed))
	got, err := s.Comment(t.Context(), one.ID)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, changed)
	one.Title, one.Data, one.UpdatedAt = "new title", "new data", changed.UpdatedAt
	accounttest.Equal(t, got, one)

	accounttest.Must(t, s.DeleteComment(t.Context(), one.ID))
	accounttest.Equal(t, list(u.UID), []person.Comment{two})
	_, err = s.Comment(t.Context(), one.ID)
	accounttest.WantErr(t, err, person.ErrNoComment)
	accounttest.WantErr(t, s.PutComment(t.Context(), &changed), person.ErrNoComment)
	accounttest.WantErr(t, s.DeleteComment(t.Context(), one.ID), person.ErrNoComment)
	accounttest.WantErr(t, s.AddComment(t.Context(), &person.Comment{UserUID: "nobody"}), account.ErrNoUser)
}
