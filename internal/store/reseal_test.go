package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"barong/internal/apikey"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/person"
	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
)

var (
	formerKey = bytes.Repeat([]byte{7}, secret.KeySize) // that of storetest
	nextKey   = bytes.Repeat([]byte{8}, secret.KeySize)
)

func ringOf(t testing.TB, keys ...[]byte) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(keys[0], keys[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eachEngine runs a test on the URL of a migrated, empty database of each engine, sealed by formerKey.
func eachEngine(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "barong.db")
		storetest.OpenPath(t, path).Close()
		test(t, "sqlite:"+path)
	})
	t.Run("postgres", func(t *testing.T) { test(t, storetest.PostgresURL(t)) })
}

// openWith opens a database with any sealer.
func openWith(t testing.TB, url string, s store.Sealer) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, s, store.WithoutSync(), store.WithPostgres(store.Postgres{MaxConns: 6, MinConns: 1}),
		store.WithDestinations(func(event.Event) []string { return []string{"test"} }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// fillSealed gives n users a value in every sealed column.
func fillSealed(t testing.TB, db *store.DB, n int) {
	t.Helper()
	ctx := t.Context()
	for i := range n {
		u := newUser(fmt.Sprint(i))
		text := func(name string) *string { s := name + " of " + u.UID; return &s }
		if err := errors.Join(
			db.AddUser(ctx, &u),
			db.AddAPIKey(ctx, &apikey.Key{Kid: "kid" + fmt.Sprint(i), Algorithm: "HS256", State: "active", HolderUID: u.UID, Secret: keySecret}),
			db.PutTOTPSecret(ctx, factor.TOTPSecret{UserUID: u.UID, Secret: []byte(totpSecret)}),
			db.AddProfile(ctx, &person.Profile{
				UserUID: u.UID, State: "drafted",
				FirstName: text("first"), LastName: text("last"), DOB: text("born"), Address: text("address"),
			}),
			func() error { _, err := db.UserHandle(ctx, u.UID, []byte("handle of "+u.UID)); return err }(),
			db.AddPasskey(ctx, &factor.Passkey{UserUID: u.UID, Name: "phone of " + u.UID, CredentialID: []byte(u.UID), PublicKey: []byte("key")}, 1),
			db.AddPhone(ctx, &person.Phone{UserUID: u.UID, Country: "DE", Number: "49151000000" + fmt.Sprint(i)}),
			db.AddDocument(ctx, &person.Document{
				ID: secret.UUID(), UserUID: u.UID, Type: person.AddressType, Identificator: "one", File: u.UID + "/1/a", Size: 1,
				Media: "image/png", Number: text("number"), FileName: "file of " + u.UID, Address: &person.Address{City: "city of " + u.UID},
			}),
			db.AddComment(ctx, &person.Comment{UserUID: u.UID, AuthorUID: u.UID, Title: "title of " + u.UID, Data: "data of " + u.UID}),
			db.Emit(ctx, event.UserCreated(event.User{UID: u.UID, Email: u.Email})),
		); err != nil {
			t.Fatal(err)
		}
	}
	err := db.UpdateSigningKeys(ctx, func(all []token.SigningKey) ([]token.SigningKey, error) {
		return append(all, token.SigningKey{
			Kid: "signing", Use: token.UseBearer, Algorithm: "RS256", State: token.Active, PrivatePEM: []byte(pemSecret),
		}), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// values are the opened values of every sealed column, by place and row. One that no key of the ring
// opens, or a column without a value, fails the test: a new column needs one in fillSealed.
func values(t testing.TB, url string, ring *secret.Sealer) map[string]string {
	t.Helper()
	all := map[string]string{}
	raw := storetest.Raw(t, url)
	defer raw.Close()
	tables := storetest.Tables(t, raw)
	for _, c := range store.SealedColumns() {
		found := 0
		for _, table := range tables {
			if table.Name != c.Table {
				continue
			}
			for _, row := range table.Rows {
				sealed, ok := row[table.Column(c.Column)].([]byte)
				if !ok {
					continue
				}
				found++
				uuid := row[table.Column("uuid")].(string)
				plain, err := ring.Open(sealed, c.Table, c.Column, uuid)
				if err != nil {
					t.Errorf("%s.%s of %s: %v", c.Table, c.Column, uuid, err)
				}
				all[c.Table+"."+c.Column+" "+uuid] = string(plain)
				if c.Index == "" {
					continue
				}
				value := string(plain)
				if c.Indexed != nil {
					value = c.Indexed(value)
				}
				same := func(i secret.BlindIndex) bool {
					return bytes.Equal(row[table.Column(c.Index)].([]byte), i.Sum) && row[table.Column(c.IndexKey)] == i.KeyID
				}
				// The index is of the key that seals the value.
				if all := ring.Indexes(value, c.Table, c.Column); !same(all[0]) && !(ring.Stale(sealed) && slices.ContainsFunc(all, same)) {
					t.Errorf("%s.%s of %s has an index of another value or key", c.Table, c.Column, uuid)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s.%s: no row has a value; fillSealed writes one of each", c.Table, c.Column)
		}
	}
	return all
}

func equalValues(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d values, want %d", len(got), len(want))
	}
	for at, v := range want {
		if got[at] != v {
			t.Errorf("%s: %q, want %q", at, got[at], v)
		}
	}
}

// Every sealed column is sealed again, and the former key opens nothing any more.
func TestReseal(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		db := openWith(t, url, ringOf(t, formerKey))
		const users = 120 // more than two batches
		fillSealed(t, db, users)
		before := values(t, url, ringOf(t, formerKey))
		db.Close()

		// A program that seals by the former key knows the next one before the change.
		db = openWith(t, url, ringOf(t, formerKey, nextKey))
		if counts, err := db.Reseal(t.Context()); err != nil || sealedIn(counts) != 0 {
			t.Errorf("with the former key as the current one: %v, %v; want nothing done", counts, err)
		}
		db.Close()

		db = openWith(t, url, ringOf(t, nextKey, formerKey))
		counts, err := db.Reseal(t.Context())
		if err != nil || sealedIn(counts) != len(before) || len(counts) != len(store.SealedColumns()) {
			t.Errorf("got %v, %v; want %d values sealed", counts, err, len(before))
		}
		if last := counts[len(counts)-1]; last.Table != "seal_check" || last.Sealed != 1 {
			t.Errorf("the last column is %v, want that by which the database knows its key", last)
		}
		if counts, err := db.Reseal(t.Context()); err != nil || sealedIn(counts) != 0 {
			t.Errorf("again: %v, %v; want nothing done", counts, err)
		}
		if k, err := db.KeyRecord(t.Context(), "kid7"); err != nil || string(k.Secret) != keySecret {
			t.Errorf("an API key: %v", err)
		}
		db.Close()
		equalValues(t, values(t, url, ringOf(t, nextKey)), before)
		openWith(t, url, ringOf(t, nextKey)).Close()
		db, err = store.Open(t.Context(), url, ringOf(t, formerKey), store.WithoutSync())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Migrate(t.Context()); !errors.Is(err, store.ErrOtherKey) {
			t.Errorf("with the former key alone: %v, want ErrOtherKey", err)
		}
	})
}

func sealedIn(counts []store.Resealing) (n int) {
	for _, c := range counts {
		n += c.Sealed
	}
	return n
}

// hooked is a ring that lets a test in before it opens and seals.
type hooked struct {
	*secret.Sealer
	open, seal func(table, column, row string) error
}

func (h hooked) Open(sealed []byte, table, column, row string) ([]byte, error) {
	if h.open != nil {
		if err := h.open(table, column, row); err != nil {
			return nil, err
		}
	}
	return h.Sealer.Open(sealed, table, column, row)
}

func (h hooked) Seal(plain []byte, table, column, row string) ([]byte, error) {
	if h.seal != nil {
		if err := h.seal(table, column, row); err != nil {
			return nil, err
		}
	}
	return h.Sealer.Seal(plain, table, column, row)
}

// Broken off at any value, by an error or the end of its context, Reseal leaves a database whose values
// all open with the ring, which a program without the former key refuses; and the next one goes on.
func TestResealGoesOnWhereItBrokeOff(t *testing.T) {
	broken := errors.New("broken off")
	eachEngine(t, func(t *testing.T, url string) {
		db := openWith(t, url, ringOf(t, formerKey))
		fillSealed(t, db, 3)
		before := values(t, url, ringOf(t, formerKey))
		db.Close()
		for step := 1; ; step++ {
			if step > len(before)+1 {
				t.Fatal("it makes no progress")
			}
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			ring := hooked{Sealer: ringOf(t, nextKey, formerKey), seal: func(string, string, string) error {
				if n++; n != step {
					return nil
				}
				if cancel(); step%2 == 0 {
					return broken
				}
				return nil
			}}
			db := openWith(t, url, ring)
			_, err := db.Reseal(ctx)
			cancel()
			db.Close()
			equalValues(t, values(t, url, ringOf(t, nextKey, formerKey)), before)
			if err == nil {
				break
			}
			if !errors.Is(err, broken) && !errors.Is(err, context.Canceled) {
				t.Fatalf("step %d: %v", step, err)
			}
			db, err = store.Open(t.Context(), url, ringOf(t, nextKey), store.WithoutSync())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Migrate(t.Context()); !errors.Is(err, store.ErrOtherKey) {
				t.Errorf("step %d: with the next key alone: %v, want ErrOtherKey", step, err)
			}
			db.Close()
		}
		equalValues(t, values(t, url, ringOf(t, nextKey)), before)
	})
}

// A value that is written after Reseal has read it stays: of both kinds of writers, one that seals with
// the next key and one that does not know of it yet. What that writes is found in another round.
func TestResealUndoesNoWrite(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		db := openWith(t, url, ringOf(t, formerKey))
		fillSealed(t, db, 2)
		db.Close()
		for name, writer := range map[string]*secret.Sealer{"former": ringOf(t, formerKey, nextKey), "next": ringOf(t, nextKey, formerKey)} {
			raw := storetest.Raw(t, url)
			// The place of each column, as it is now.
			written := map[string]bool{}
			ring := hooked{Sealer: ringOf(t, nextKey, formerKey)}
			ring.open = func(table, column, row string) error {
				at := table + "." + column + " " + row
				if written[at] || table == "seal_check" {
					return nil
				}
				written[at] = true
				value := name + " writes " + at
				sealed, err := writer.Seal([]byte(value), table, column, row)
				if err != nil {
					return err
				}
				set, args := column+` = $2`, []any{row, sealed}
				for _, c := range store.SealedColumns() {
					if c.Table == table && c.Column == column && c.Index != "" {
						index, key := writer.Index(value, table, column)
						set, args = set+`, `+c.Index+` = $3, `+c.IndexKey+` = $4`, append(args, index, key)
					}
				}
				_, err = raw.ExecContext(t.Context(), `UPDATE `+table+` SET `+set+` WHERE uuid = $1`, args...)
				return err
			}
			// Back to the former key, so that there is something to do.
			back := openWith(t, url, ringOf(t, formerKey, nextKey))
			if _, err := back.Reseal(t.Context()); err != nil {
				t.Fatal(err)
			}
			back.Close()
			db := openWith(t, url, ring)
			if _, err := db.Reseal(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			db.Close()
			raw.Close()
			now := values(t, url, ringOf(t, nextKey))
			if len(written) != len(now)-1 { // all but the check of the key
				t.Fatalf("%d of %d values were written meanwhile", len(written), len(now))
			}
			for at, v := range now {
				if written[at] && v != name+" writes "+at {
					t.Errorf("%s: %q, want what was written meanwhile", at, v)
				}
			}
		}
	})
}

// While writers work, those of the service's own verbs among them, nothing of theirs is lost.
func TestResealBesideWriters(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		db := openWith(t, url, ringOf(t, formerKey))
		const users = 60
		fillSealed(t, db, users)
		db.Close()
		db = openWith(t, url, ringOf(t, nextKey, formerKey))
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		var failed atomic.Pointer[error]
		last := make([]string, users)
		for w := range 2 {
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					i := (2*n + w) % users
					uid, text := "ID"+fmt.Sprint(i), fmt.Sprintf("written %d by %d", n, w)
					err := db.PutTOTPSecret(t.Context(), factor.TOTPSecret{UserUID: uid, Secret: []byte(text)})
					if err == nil {
						err = rename(t.Context(), db, uid, text)
					}
					if err != nil {
						failed.Store(&err)
						return
					}
					last[i] = text
				}
			})
		}
		counts, err := db.Reseal(t.Context())
		stop()
		writers.Wait()
		if err != nil || sealedIn(counts) == 0 {
			t.Errorf("got %v, %v", counts, err)
		}
		if why := failed.Load(); why != nil {
			t.Fatal(*why)
		}
		db.Close()
		db = openWith(t, url, ringOf(t, nextKey))
		for i, want := range last {
			if want == "" {
				continue
			}
			uid := "ID" + fmt.Sprint(i)
			s, err := db.TOTPSecret(t.Context(), uid)
			if err != nil || string(s.Secret) != want {
				t.Errorf("one-time-code secret of %s: %q, %v; want %q", uid, s.Secret, err, want)
			}
			all, err := db.Profiles(t.Context(), uid)
			if err != nil || len(all) != 1 || *all[0].FirstName != want {
				t.Errorf("profile of %s: %v, %v; want the name %q", uid, all, err, want)
			}
		}
	})
}

func rename(ctx context.Context, db *store.DB, uid, name string) error {
	return store.Update[person.Tx](db)(ctx, func(tx person.Tx) error {
		all, err := tx.Profiles(ctx, uid)
		if err != nil {
			return err
		}
		all[0].FirstName = &name
		return tx.PutProfile(ctx, &all[0])
	})
}

// Reseal does not end as done while a value is left: one that no key of the ring opens, or one of the
// former key that goes on being written.
func TestResealReportsWhatIsLeft(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		db := openWith(t, url, ringOf(t, formerKey))
		fillSealed(t, db, 2)
		db.Close()
		raw := storetest.Raw(t, url)
		foreign, err := ringOf(t, bytes.Repeat([]byte{9}, secret.KeySize)).Seal([]byte("x"), "apikeys", "secret", "y")
		if err == nil {
			_, err = raw.ExecContext(t.Context(), `UPDATE apikeys SET secret = $1 WHERE kid = 'kid1'`, foreign)
		}
		if err != nil {
			t.Fatal(err)
		}
		raw.Close()
		db = openWith(t, url, ringOf(t, nextKey, formerKey))
		counts, err := db.Reseal(t.Context())
		if !errors.Is(err, store.ErrResealLeft) {
			t.Errorf("got %v, want ErrResealLeft", err)
		}
		for _, c := range counts {
			want := store.Resealing{Table: c.Table, Column: c.Column, Sealed: c.Sealed}
			if c.Table == "apikeys" {
				want = store.Resealing{Table: "apikeys", Column: "secret", Sealed: 1, Left: 1, Unopened: 1}
			}
			if c != want {
				t.Errorf("got %+v, want %+v", c, want)
			}
		}
		db.Close()
		db, err = store.Open(t.Context(), url, ringOf(t, nextKey), store.WithoutSync())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Migrate(t.Context()); !errors.Is(err, store.ErrOtherKey) {
			t.Errorf("with the next key alone: %v, want ErrOtherKey", err)
		}
	})
}

// No value opens in the place of another, whatever the column: the same one of another row, and each
// other of all tables.
func TestSwappedValuesDoNotOpen(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		ring := ringOf(t, formerKey)
		db := openWith(t, url, ring)
		fillSealed(t, db, 2)
		db.Close()
		type cell struct {
			table, column, row string
			sealed             []byte
		}
		var all []cell
		raw := storetest.Raw(t, url)
		for _, table := range storetest.Tables(t, raw) {
			for _, c := range store.SealedColumns() {
				for _, row := range table.Rows {
					if at := table.Column(c.Column); c.Table == table.Name && row[at] != nil {
						all = append(all, cell{c.Table, c.Column, row[table.Column("uuid")].(string), row[at].([]byte)})
					}
				}
			}
		}
		for _, from := range all {
			for _, to := range all {
				plain, err := ring.Open(from.sealed, to.table, to.column, to.row)
				same := from.table == to.table && from.column == to.column && from.row == to.row
				if same != (err == nil) || err != nil && (!errors.Is(err, secret.ErrOpen) || plain != nil) {
					t.Errorf("the value of %s.%s %s as that of %s.%s %s: %v", from.table, from.column, from.row, to.table, to.column, to.row, err)
				}
			}
		}
	})
}

// A column that Reseal does not know takes no sealed value, and no table has one elsewhere.
func TestEverySealedColumnIsDeclared(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		db := openWith(t, url, ringOf(t, formerKey))
		fillSealed(t, db, 1)
		db.Close()
		known := store.SealedColumns()
		raw := storetest.Raw(t, url)
		some, err := ringOf(t, formerKey).Seal([]byte("x"), "a", "b", "c")
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range storetest.Tables(t, raw) {
			for _, row := range table.Rows {
				for i, v := range row {
					sealed, ok := v.([]byte)
					if !ok || !bytes.HasPrefix(sealed, some[:10]) { // version and id of the key
						continue
					}
					if !slices.ContainsFunc(known, func(c store.SealedColumn) bool {
						return c.Table == table.Name && c.Column == table.Columns[i]
					}) {
						t.Errorf("%s.%s holds a sealed value and is not declared", table.Name, table.Columns[i])
					}
				}
			}
		}
		values(t, url, ringOf(t, formerKey))
	})
}
