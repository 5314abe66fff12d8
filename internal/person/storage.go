package person

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
)

// A DataStorage is a JSON text that a client keeps with its account under one of the titles that the
// operator allows. Nobody changes it.
type DataStorage struct {
	ID        int64
	UserUID   string
	Title     string
	Data      string // at most 5120 characters
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String keeps the data out of logs and errors.
func (d DataStorage) String() string { return fmt.Sprintf("data %q of %s", d.Title, d.UserUID) }

// GoString keeps the data out of %#v.
func (d DataStorage) GoString() string { return d.String() }

// storageReader is the part of Reader about data storages.
type storageReader interface {
	// DataStorages lists a user's, by row id; in a transaction others wait that write rows of the user.
	DataStorages(ctx context.Context, uid string) ([]DataStorage, error)
}

// storageWriter is the part of Tx about data storages.
type storageWriter interface {
	// AddDataStorage inserts d and fills ID and times; account.ErrNoUser, account.ErrTaken for the
	// title.
	AddDataStorage(ctx context.Context, d *DataStorage) error
	// DeleteDataStorage removes one by (uid, title); ErrNoStorage.
	DeleteDataStorage(ctx context.Context, uid, title string) error
}

// ErrNoStorage says that a user keeps no data under a title.
var ErrNoStorage = fmt.Errorf("person: stored data: %w", account.ErrNotFound)

// shownNouns are titles that would hide other parts of an account.
var shownNouns = []string{"document", "label", "profile", "phone", "user"}

// StoreData keeps data under a title of the operator's, once for each. Errors: account.ErrNoUser,
// Invalid.
func (s *Service) StoreData(ctx context.Context, by account.Actor, title, data string) error {
	var wrong invalid.Fields
	if utf8.RuneCountInString(data) > 5120 {
		wrong.Add("data", "too_long")
	}
	if !json.Valid([]byte(data)) {
		wrong.Add("data", "invalid_format")
	}
	err := s.update(ctx, func(tx work) error {
		wrong := slices.Clone(wrong)
		all, err := tx.DataStorages(ctx, by.UID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(d DataStorage) bool { return strings.EqualFold(d.Title, title) }) {
			wrong.Add("title", "taken")
		}
		if !slices.Contains(s.cfg.StorageTitles, title) {
			wrong.Add("title", "inclusion")
		}
		if slices.Contains(shownNouns, title) {
			wrong.Add("title", "exclusion")
		}
		if err := wrong.Err(); err != nil {
			return err
		}
		d := DataStorage{UserUID: by.UID, Title: title, Data: data}
		if err := tx.AddDataStorage(ctx, &d); err != nil {
			return err
		}
		if err := tx.SetPrivate(ctx, by.UID, title, "recorded"); err != nil {
			return err
		}
		if err := tx.AddActivity(ctx, by.Activity(s.now(), "account", "data storage create", audit.Succeed, "")); err != nil {
			return err
		}
		u, err := tx.User(ctx, by.UID)
		if err != nil {
			return err
		}
		e := event.DataStorageCreated(event.DataStorage{
			User: u.Event(), Title: title, Data: data, CreatedAt: event.Time(d.CreatedAt), UpdatedAt: event.Time(d.UpdatedAt),
		})
		e.Language = s.accounts.Language(u, "", "")
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("store data: %w", err)
	}
	return nil
}

// RemoveData deletes the data that the user uid keeps under a title, for staff, and the private label of
// that name; level and state follow. Errors, in order: those of account.Writer.MayChange, ErrNoStorage.
func (s *Service) RemoveData(ctx context.Context, by account.Actor, uid, title string) error {
	err := s.update(ctx, func(tx work) error {
		if err := tx.MayChange(ctx, by, uid); err != nil {
			return err
		}
		if err := tx.DeleteDataStorage(ctx, uid, title); err != nil {
			return err
		}
		if err := tx.RemovePrivate(ctx, uid, title); err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.AboutUser(s.now(), "data_storage", "delete", uid, struct {
			Title string `json:"title"`
		}{title}))
	})
	if err != nil {
		return fmt.Errorf("remove data: %w", err)
	}
	return nil
}
