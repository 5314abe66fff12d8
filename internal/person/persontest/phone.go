package persontest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/person"
)

const number, otherNumber = "447418084106", "380971232322"

// codes are good from now until then.
var now, then = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 8, 10, 0, 0, time.UTC)

func addPhone(t testing.TB, s Store, uid, number string) person.Phone {
	t.Helper()
	p := person.Phone{UserUID: uid, Country: "GB", Number: number}
	accounttest.Must(t, s.AddPhone(t.Context(), &p))
	return p
}

func phonesAre(t testing.TB, s Store, uid string, want ...person.Phone) {
	t.Helper()
	got, err := s.Phones(t.Context(), uid)
	accounttest.Must(t, err)
	for i := range min(len(got), len(want)) {
		want[i].UpdatedAt = got[i].UpdatedAt
	}
	accounttest.Equal(t, append([]person.Phone{}, got...), append([]person.Phone{}, want...))
}

func phoneIsProved(t testing.TB, s Store, number string, want bool) {
	t.Helper()
	got, err := s.PhoneProved(t.Context(), number)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, want)
}

func phoneRoundTrip(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	first, second := addPhone(t, s, u.UID, number), addPhone(t, s, u.UID, otherNumber)
	accounttest.Recent(t, first.CreatedAt)
	accounttest.Equal(t, first.UpdatedAt, first.CreatedAt)
	theirs := addPhone(t, s, other.UID, number)
	phonesAre(t, s, u.UID, first, second)
	phonesAre(t, s, other.UID, theirs)
	again := person.Phone{UserUID: u.UID, Country: "GB", Number: number}
	accounttest.WantErr(t, s.AddPhone(t.Context(), &again), account.ErrTaken)
	lost := person.Phone{UserUID: "ID404", Country: "GB", Number: number}
	accounttest.WantErr(t, s.AddPhone(t.Context(), &lost), account.ErrNoUser)
	accounttest.Must(t, s.ProvePhone(t.Context(), u.UID, otherNumber, now))
	second.ProvedAt = now
	phonesAre(t, s, u.UID, first, second)
	accounttest.Must(t, s.DeletePhone(t.Context(), u.UID, number))
	phonesAre(t, s, u.UID, second)
	phonesAre(t, s, other.UID, theirs)

	one, err := s.PhoneAlias(number)
	accounttest.Must(t, err)
	same, err := s.PhoneAlias(number)
	accounttest.Must(t, err)
	another, err := s.PhoneAlias(otherNumber)
	accounttest.Must(t, err)
	if one == "" || one != same || one == another {
		t.Errorf("aliases %q, %q and of another number %q", one, same, another)
	}
}

func phoneNotFound(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	addPhone(t, s, other.UID, number)
	phoneIsProved(t, s, number, false)
	for _, uid := range []string{u.UID, "ID404"} {
		phonesAre(t, s, uid)
		_, err := s.TryPhoneCode(t.Context(), uid, number, "12345", 5, now)
		accounttest.WantErr(t, err, person.ErrNoPhone)
		accounttest.WantErr(t, s.PutPhoneCode(t.Context(), uid, number, "12345", then), person.ErrNoPhone)
		accounttest.WantErr(t, s.ProvePhone(t.Context(), uid, number, now), person.ErrNoPhone)
		accounttest.WantErr(t, s.DeletePhone(t.Context(), uid, number), person.ErrNoPhone)
		n, err := s.ReleasePhones(t.Context(), uid)
		accounttest.Must(t, err)
		accounttest.Equal(t, n, 0)
	}
}

// try tries a code; err is the error wanted.
func try(t testing.TB, s Store, uid, code string, at time.Time, right bool, err error) {
	t.Helper()
	got, failed := s.TryPhoneCode(t.Context(), uid, number, code, 3, at)
	if !errors.Is(failed, err) || err == nil && failed != nil || got != right {
		t.Fatalf("code %q: %v, %v; want %v, %v", code, got, failed, right, err)
	}
}

func phoneCode(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	addPhone(t, s, u.UID, number)
	addPhone(t, s, u.UID, otherNumber)
	try(t, s, u.UID, "", now, false, person.ErrNoPhone) // none was sent
	accounttest.Must(t, s.PutPhoneCode(t.Context(), u.UID, number, "12345", then))
	try(t, s, u.UID, "12345", then, false, person.ErrNoPhone) // its time is over
	try(t, s, u.UID, "", now, false, nil)
	try(t, s, u.UID, "12345", then.Add(-time.Microsecond), true, nil)
	try(t, s, u.UID, "54321", now, false, nil)
	try(t, s, u.UID, "12345", now, false, person.ErrNoPhone) // three tries
	accounttest.Must(t, s.PutPhoneCode(t.Context(), u.UID, otherNumber, "12345", then))
	try(t, s, u.UID, "12345", now, false, person.ErrNoPhone) // that was another's
	accounttest.Must(t, s.PutPhoneCode(t.Context(), u.UID, number, "54321", then))
	try(t, s, u.UID, "12345", now, false, nil)
	try(t, s, u.UID, "54321", now, true, nil)
	accounttest.Must(t, s.ProvePhone(t.Context(), u.UID, number, now))
	try(t, s, u.UID, "54321", now, false, person.ErrNoPhone)
	accounttest.WantErr(t, s.ProvePhone(t.Context(), u.UID, number, now), account.ErrTaken)
}

func phoneForeignCode(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	addPhone(t, s, u.UID, number)
	accounttest.Must(t, s.PutPhoneCode(t.Context(), u.UID, number, "12345", then))
	accounttest.Must(t, s.PutPhoneCode(t.Context(), u.UID, number, "", then))
	try(t, s, u.UID, "", now, false, nil)
	try(t, s, u.UID, "12345", now, false, nil)
	try(t, s, u.UID, "\x00\xff", now, false, nil)
	try(t, s, u.UID, "12345", now, false, person.ErrNoPhone)
}

func phoneProved(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	addPhone(t, s, one.UID, number)
	addPhone(t, s, two.UID, number)
	accounttest.Must(t, s.ProvePhone(t.Context(), one.UID, number, now))
	phoneIsProved(t, s, number, true)
	phoneIsProved(t, s, otherNumber, false)
	accounttest.WantErr(t, s.ProvePhone(t.Context(), two.UID, number, now), account.ErrTaken)
	accounttest.Must(t, s.DeletePhone(t.Context(), one.UID, number))
	accounttest.Must(t, s.ProvePhone(t.Context(), two.UID, number, now))
}

func phoneReleased(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	mine, theirs := addPhone(t, s, one.UID, number), addPhone(t, s, two.UID, number)
	unproved := addPhone(t, s, one.UID, otherNumber)
	accounttest.Must(t, s.ProvePhone(t.Context(), one.UID, number, now))
	for _, want := range []int{1, 0} {
		n, err := s.ReleasePhones(t.Context(), one.UID)
		accounttest.Must(t, err)
		accounttest.Equal(t, n, want)
	}
	phonesAre(t, s, one.UID, mine, unproved)
	phoneIsProved(t, s, number, false)
	accounttest.Must(t, s.ProvePhone(t.Context(), two.UID, number, now))
	theirs.ProvedAt = now
	phonesAre(t, s, two.UID, theirs)
	accounttest.Must(t, s.PutPhoneCode(t.Context(), one.UID, number, "12345", then))
	try(t, s, one.UID, "12345", now, true, nil)
	accounttest.WantErr(t, s.ProvePhone(t.Context(), one.UID, number, now), account.ErrTaken)
	_, err := s.ReleasePhones(t.Context(), two.UID)
	accounttest.Must(t, err)
	accounttest.Must(t, s.ProvePhone(t.Context(), one.UID, number, then))
	mine.ProvedAt = then
	phonesAre(t, s, one.UID, mine, unproved)
}

// phoneTriesAtOnce has many more tries at once than there may be.
func phoneTriesAtOnce(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	addPhone(t, s, u.UID, number)
	accounttest.Must(t, s.PutPhoneCode(t.Context(), u.UID, number, "12345", then))
	var group sync.WaitGroup
	var passed atomic.Int32
	for range 20 {
		group.Go(func() {
			_, err := s.TryPhoneCode(context.Background(), u.UID, number, "00000", 5, now)
			switch {
			case err == nil:
				passed.Add(1)
			case !errors.Is(err, person.ErrNoPhone):
				t.Error(err)
			}
		})
	}
	group.Wait()
	accounttest.Equal(t, passed.Load(), int32(5))
}

// phoneProvedAtOnce has users prove one number, each in a transaction of its own.
func phoneProvedAtOnce(t *testing.T, s Store) {
	var group sync.WaitGroup
	var won atomic.Int32
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		u := accounttest.AddUser(t, s, n)
		addPhone(t, s, u.UID, number)
		group.Go(func() {
			err := s.Update(context.Background(), func(tx person.Tx) error {
				return tx.ProvePhone(context.Background(), u.UID, number, now)
			})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, account.ErrTaken):
				t.Error(err)
			}
		})
	}
	group.Wait()
	accounttest.Equal(t, won.Load(), int32(1))
}

func phoneHolder(t *testing.T, s Store) {
	one, two, three := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2"), accounttest.AddUser(t, s, "3")
	holder := func(number, want string) {
		t.Helper()
		uid, err := s.PhoneHolder(t.Context(), number)
		if want == "" {
			accounttest.WantErr(t, err, person.ErrNoPhone)
			return
		}
		accounttest.Must(t, err)
		accounttest.Equal(t, uid, want)
	}
	holder(number, "")
	for _, u := range []account.User{one, two, three} {
		addPhone(t, s, u.UID, number)
	}
	addPhone(t, s, three.UID, otherNumber)
	holder(number, one.UID) // nobody has proved it
	holder(otherNumber, three.UID)
	accounttest.Must(t, s.ProvePhone(t.Context(), two.UID, number, now))
	holder(number, two.UID)
	_, err := s.ReleasePhones(t.Context(), two.UID)
	accounttest.Must(t, err)
	holder(number, one.UID) // the proof was given up
	accounttest.Must(t, s.ProvePhone(t.Context(), three.UID, number, now))
	holder(number, three.UID)
	accounttest.Must(t, s.DeletePhone(t.Context(), one.UID, number))
	accounttest.Must(t, s.DeletePhone(t.Context(), three.UID, number))
	holder(number, two.UID)
	for _, odd := range []string{"", "1", number + "0", "a\x00b", "\xff"} {
		holder(odd, "")
	}
}
