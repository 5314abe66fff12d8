package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/token"
)

// memoryKeys keeps signing keys; fail makes reads fail.
type memoryKeys struct {
	mu   sync.Mutex
	rows []token.SigningKey
	fail error
}

func (m *memoryKeys) SigningKeys(context.Context) ([]token.SigningKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]token.SigningKey(nil), m.rows...), m.fail
}

func (m *memoryKeys) UpdateSigningKeys(_ context.Context, f func([]token.SigningKey) ([]token.SigningKey, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, err := f(append([]token.SigningKey(nil), m.rows...))
	if err == nil {
		m.rows = rows
	}
	return err
}

func (m *memoryKeys) set(fail error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// madeKeys makes signing keys without the time that RSA takes: one active of each use, and n of
// use bearer that are next.
func madeKeys(ctx context.Context, n int) ([]token.SigningKey, error) {
	store := new(memoryKeys)
	c := configured.Keys(config.Default())
	c.Algorithm = token.EdDSA
	k, err := token.OpenKeys(ctx, store, c, nil)
	if err != nil {
		return nil, err
	}
	rows := store.rows
	store.rows = nil
	for _, row := range rows {
		if row.Use != token.UseWire {
			store.rows = append(store.rows, row)
		}
	}
	rows = store.rows
	for _, use := range append([]string{token.UseMail}, slices.Repeat([]string{token.UseBearer}, n)...) {
		store.rows = nil
		if _, _, err := k.Rotate(ctx, use, false); !errors.Is(err, token.ErrNoKey) {
			return nil, err
		}
		made := store.rows[0]
		if use == token.UseMail {
			made.Use, made.State, made.ActivatedAt = token.UseWire, token.Active, made.CreatedAt
		}
		rows = append(rows, made)
	}
	return rows, nil
}

// A change of the signing keys that could not be read is read again, although the feed does not
// bring it a second time.
func TestAChangeOfTheSigningKeysIsReadInTheEnd(t *testing.T) {
	made, err := madeKeys(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	next := made[len(made)-1]
	synctest.Test(t, func(t *testing.T) {
		store := &memoryKeys{rows: made[:len(made)-1]}
		keys, err := token.OpenKeys(t.Context(), store, configured.Keys(config.Default()), nil)
		if err != nil {
			t.Fatal(err)
		}
		sv := &service{log: slog.New(slog.DiscardHandler), keys: keys, reload: make(chan struct{}, 1)}
		ctx, stop := context.WithCancel(t.Context())
		go sv.keepKeys(ctx)
		before := len(keys.List())
		store.rows = append(store.rows, next)
		store.set(errors.New("down"))
		poke(sv.reload)
		time.Sleep(2500 * time.Millisecond)
		if n := len(keys.List()); n != before {
			t.Errorf("%d keys while the database is away, want %d", n, before)
		}
		store.set(nil)
		time.Sleep(time.Second)
		if n := len(keys.List()); n != before+1 {
			t.Errorf("%d keys a second after it is back, want %d", n, before+1)
		}
		stop()
		synctest.Wait()
	})
}
