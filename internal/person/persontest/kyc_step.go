package persontest

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
)

func kycSteps(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	add := func(uid, batch, step, id string) error { return s.AddKYCStep(t.Context(), uid, batch, step, id) }
	for _, x := range [][4]string{
		{u.UID, "batch1", "front", "file1"}, {u.UID, "batch1", "PASSPORT", "document1"}, {u.UID, "batch2", "front", "file2"},
		{other.UID, "batch1", "front", "file3"},
	} {
		accounttest.Must(t, add(x[0], x[1], x[2], x[3]))
	}
	accounttest.WantErr(t, add(u.UID, "batch1", "front", "file4"), account.ErrTaken)
	accounttest.WantErr(t, add("ID404", "batch1", "front", "file4"), account.ErrNoUser)
	for _, x := range []struct {
		uid, batch string
		want       map[string]string
	}{
		{u.UID, "batch1", map[string]string{"front": "file1", "PASSPORT": "document1"}},
		{u.UID, "batch2", map[string]string{"front": "file2"}},
		{other.UID, "batch1", map[string]string{"front": "file3"}},
		{u.UID, "batch3", map[string]string{}},
		{"ID404", "batch1", map[string]string{}},
	} {
		got, err := s.KYCSteps(t.Context(), x.uid, x.batch)
		accounttest.Must(t, err)
		accounttest.Equal(t, got, x.want)
	}
}
