package accounttest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
)

func newRequest(asker string) account.Request {
	return account.Request{
		Action: account.ActionStaffRole, AskerKind: "user", Asker: asker, AskerRole: "admin", TargetUID: "ID0000000009",
		Content: `{"role":"support"}`, Seen: `{"role":"member"}`, Preview: `{"flips":[]}`, Rules: "staff_role above 0",
	}
}

// addRequest adds the request of newRequest, which has a life.
func addRequest(t testing.TB, s Store, asker string, life time.Duration) account.Request {
	t.Helper()
	r := newRequest(asker)
	Must(t, s.AddRequest(t.Context(), &r, life, 3))
	return r
}

func requestRoundTrip(t *testing.T, s Store) {
	want := addRequest(t, s, "ID0000000001", time.Hour)
	if want.ID == 0 || want.State != account.RequestOpen || !want.DecidedAt.IsZero() {
		t.Fatalf("added %+v", want)
	}
	Recent(t, want.CreatedAt)
	if life := want.ExpiresAt.Sub(want.CreatedAt); life < 59*time.Minute || life > 61*time.Minute {
		t.Fatalf("it lives %v, want an hour", life)
	}
	got, err := s.Request(t.Context(), want.ID)
	Must(t, err)
	Equal(t, got, want)
	want.State, want.Decider = account.RequestConfirmed, "ID0000000002"
	Must(t, s.CloseRequest(t.Context(), &want))
	Recent(t, want.DecidedAt)
	got, err = s.Request(t.Context(), want.ID)
	Must(t, err)
	Equal(t, got, want)
	_, err = s.Request(t.Context(), want.ID+1)
	WantErr(t, err, account.ErrNoRequest)
}

func requestPage(t *testing.T, s Store) {
	first, second := addRequest(t, s, "ID0000000001", time.Hour), addRequest(t, s, "ID0000000002", time.Hour)
	first.State = account.RequestRefused
	Must(t, s.CloseRequest(t.Context(), &first))
	for name, c := range map[string]struct {
		q    account.RequestQuery
		want []account.Request
		all  int
	}{
		"the newest first": {account.RequestQuery{}, []account.Request{second, first}, 2},
		"of a state":       {account.RequestQuery{State: account.RequestOpen}, []account.Request{second}, 1},
		"of an asker":      {account.RequestQuery{Asker: "ID0000000001"}, []account.Request{first}, 1},
		"of an action":     {account.RequestQuery{Action: account.ActionRevokeAll}, nil, 0},
		"a page":           {account.RequestQuery{Limit: 1, Offset: 1}, []account.Request{first}, 2},
	} {
		got, all, err := s.RequestPage(t.Context(), c.q)
		Must(t, err)
		if all != c.all {
			t.Errorf("%s: %d in all, want %d", name, all, c.all)
		}
		Equal(t, got, c.want)
	}
}

func requestsOfOne(t *testing.T, s Store) {
	closed := addRequest(t, s, "ID0000000001", time.Hour)
	for range 2 {
		next := addRequest(t, s, "ID0000000001", time.Hour)
		if next.ID <= closed.ID+2 { // of another history, it would be this number as well
			t.Errorf("the id after %d is %d, want one that cannot be guessed", closed.ID, next.ID)
		}
	}
	r := newRequest("ID0000000001")
	WantErr(t, s.AddRequest(t.Context(), &r, time.Hour, 3), account.ErrTooManyRequests)
	r = newRequest("ID0000000001")
	r.AskerKind = "service" // of the same name
	Must(t, s.AddRequest(t.Context(), &r, time.Hour, 3))
	addRequest(t, s, "ID0000000002", time.Hour)
	closed.State = account.RequestRefused
	Must(t, s.CloseRequest(t.Context(), &closed))
	addRequest(t, s, "ID0000000001", time.Hour)
}

func requestOnce(t *testing.T, s Store) {
	r := addRequest(t, s, "ID0000000001", time.Hour)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			mine := r
			mine.State = account.RequestConfirmed
			errs[i] = s.Update(context.WithoutCancel(t.Context()), func(tx account.Tx) error {
				return tx.CloseRequest(context.WithoutCancel(t.Context()), &mine)
			})
		})
	}
	wg.Wait()
	closed := 0
	for _, err := range errs {
		switch {
		case err == nil:
			closed++
		case !errors.Is(err, account.ErrRequestClosed):
			t.Errorf("got error %v, want %v", err, account.ErrRequestClosed)
		}
	}
	if closed != 1 {
		t.Fatalf("%d have closed it, want 1", closed)
	}
}

func requestOverdue(t *testing.T, s Store) {
	late, early := addRequest(t, s, "ID0000000001", -time.Second), addRequest(t, s, "ID0000000001", time.Hour)
	overdue, err := s.OverdueRequests(t.Context(), 10)
	Must(t, err)
	Equal(t, overdue, []account.Request{late})
	confirmed := late
	confirmed.State = account.RequestConfirmed
	WantErr(t, s.CloseRequest(t.Context(), &confirmed), account.ErrRequestClosed)
	for _, r := range []*account.Request{&late, &early} {
		r.State, r.Reason = account.RequestLapsed, account.LapsedByTime
	}
	Must(t, s.CloseRequest(t.Context(), &late))
	WantErr(t, s.CloseRequest(t.Context(), &late), account.ErrRequestClosed)
	WantErr(t, s.CloseRequest(t.Context(), &early), account.ErrRequestClosed)
	early.Reason = account.LapsedByTarget
	Must(t, s.CloseRequest(t.Context(), &early))
}
