package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/invalid"
	"barong/internal/secret"
)

// ErrCouldNotSaveSecret says that a new key's secret could not be sealed; nothing is stored.
var ErrCouldNotSaveSecret = errors.New("apikey: secret cannot be saved")

// ErrNoKey says that the holder has no such key.
var ErrNoKey = fmt.Errorf("apikey: key: %w", account.ErrNotFound)

// HS256 is the one algorithm of API keys version 1 (AZ-272).
const HS256 = "HS256"

// States of API keys; only active ones are honoured (AZ-274). This service sets inactive, the
// public front end sets disabled (design D30): each shows as it was set.
const (
	Active   = "active"
	Inactive = "inactive"
	Disabled = "disabled"
)

// A Key signs requests for its holder.
type Key struct {
	ID         int64
	Kid        string
	Algorithm  string
	Scope      []string
	State      string
	HolderUID  string
	HolderKind account.Kind
	// Secret is set on creation and by KeyRecord only; lists leave it "".
	Secret    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String keeps the secret out of logs and errors.
func (k Key) String() string { return "api key " + k.Kid }

// GoString keeps the secret out of %#v.
func (k Key) GoString() string { return k.String() }

// Query selects a page of one holder's keys.
type Query struct {
	HolderUID string
	// OrderBy is one of id, kid, algorithm, scope, state, created_at, updated_at (W-R12).
	OrderBy string
	Desc    bool
	// Limit and Offset count rows.
	Limit, Offset int
}

// Reader reads committed rows, or those of a transaction when it is part of a Tx.
type Reader interface {
	account.Reader
	keyReader
}

// Tx is the part of the store that changes of keys write in one transaction.
type Tx interface {
	account.Tx
	keyReader
	keyWriter
}

// keyReader is the part of Reader about keys.
type keyReader interface {
	// APIKeys returns a page without secrets, and how many there are in all.
	APIKeys(ctx context.Context, q Query) ([]Key, int, error)
	// APIKey loads one of a holder's keys without its secret; ErrNoKey.
	APIKey(ctx context.Context, holderUID, kid string) (Key, error)
}

// keyWriter is the part of Tx about keys, their secrets sealed. Every write leaves a change-feed
// row (kind feed.Key, ref kid). account.Tx has the verbs that stop and remove all of a holder's.
type keyWriter interface {
	// AddAPIKey seals the secret, inserts k and fills ID and times; ErrTaken for the kid,
	// account.ErrNotFound when there is no such holder, ErrSeal when the secret cannot be sealed.
	AddAPIKey(ctx context.Context, k *Key) error
	// PutAPIKey writes scope and state by kid; ErrNoKey.
	PutAPIKey(ctx context.Context, k *Key) error
	// DeleteAPIKey removes one of a holder's keys; ErrNoKey.
	DeleteAPIKey(ctx context.Context, holderUID, kid string) error
}

// kidShape is the form of a kid that a client chooses.
var kidShape = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

// scopeMax is the length of the scope column, entries joined by commas.
const scopeMax = 255

// A Holder names the account whose keys an actor means: the zero value the actor's own, else one of
// the actor's service accounts.
type Holder struct{ serviceAccount *string }

// OfServiceAccount is the service account of the uid.
func OfServiceAccount(uid string) Holder { return Holder{&uid} }

// keyHolder is the user or service account that an actor's call is about.
type keyHolder struct {
	UID   string
	Kind  account.Kind
	State string
}

// resolve loads the holder that the actor means: account.ErrNoServiceAccount for one that the actor
// does not own.
func resolve(ctx context.Context, rows account.Reader, by account.Actor, of Holder) (keyHolder, error) {
	if of.serviceAccount == nil {
		u, err := rows.User(ctx, by.UID)
		if err != nil {
			return keyHolder{}, fmt.Errorf("load key holder: %w", err)
		}
		return keyHolder{u.UID, account.KindUser, u.State}, nil
	}
	a, err := rows.ServiceAccount(ctx, *of.serviceAccount)
	if err != nil {
		return keyHolder{}, fmt.Errorf("load key holder: %w", err)
	}
	if a.OwnerUID != by.UID {
		return keyHolder{}, account.ErrNoServiceAccount
	}
	return keyHolder{a.UID, account.KindServiceAccount, a.State}, nil
}

// open passes when the actor owns the holder and then gives a code of its own second factor, which
// is the one that counts for service accounts, too (AZ-291). It uses the code up.
func (s *Service) open(ctx context.Context, by account.Actor, code string, of Holder) error {
	if _, err := resolve(ctx, s.rows, by, of); err != nil {
		return err
	}
	return s.codes.RequireOTP(ctx, by, code)
}

// ListKeys returns a page of a holder's keys without secrets, and how many there are; the holder
// of q is set here. Errors: account.ErrNoServiceAccount.
func (s *Service) ListKeys(ctx context.Context, by account.Actor, of Holder, q Query) ([]Key, int, error) {
	h, err := resolve(ctx, s.rows, by, of)
	if err != nil {
		return nil, 0, err
	}
	q.HolderUID = h.UID
	keys, total, err := s.rows.APIKeys(ctx, q)
	if err != nil {
		return nil, 0, fmt.Errorf("list api keys: %w", err)
	}
	return keys, total, nil
}

// An Input is the input of CreateKey.
type Input struct {
	Kid       string // "" generates one
	Algorithm string
	Scope     []string
}

// CreateKey makes an active key and returns it with its secret, the only time that it shows. code is
// a one-time code of the actor's. Errors, in order: account.ErrNoServiceAccount, those of
// factor.Service.RequireOTP, invalid.Fields, ErrCouldNotSaveSecret.
func (s *Service) CreateKey(ctx context.Context, by account.Actor, code string, of Holder, in Input) (Key, error) {
	if err := s.open(ctx, by, code, of); err != nil {
		return Key{}, fmt.Errorf("create api key: %w", err)
	}
	var k Key
	create := func(tx work) error {
		h, err := resolve(ctx, tx, by, of)
		if err != nil {
			return err
		}
		if err := s.checkNewKey(ctx, tx, h, in); err != nil {
			return err
		}
		k = Key{
			Kid: in.Kid, Algorithm: in.Algorithm, Scope: in.Scope, State: Active,
			HolderUID: h.UID, HolderKind: h.Kind, Secret: secret.Hex(16),
		}
		if k.Kid == "" {
			k.Kid = secret.Hex(8)
		}
		if err := tx.AddAPIKey(ctx, &k); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.keyActivity(by, "api key create", k.Kid))
	}
	err := s.update(ctx, create)
	if errors.Is(err, account.ErrTaken) && in.Kid == "" {
		err = s.update(ctx, create) // another random kid
	}
	switch {
	case errors.Is(err, account.ErrTaken):
		return Key{}, invalid.Field("kid", "taken")
	case errors.Is(err, account.ErrSeal):
		return Key{}, fmt.Errorf("%w: %w", ErrCouldNotSaveSecret, err)
	case err != nil:
		return Key{}, fmt.Errorf("create api key: %w", err)
	}
	return k, nil
}

func (s *Service) checkNewKey(ctx context.Context, rows Reader, h keyHolder, in Input) error {
	var p invalid.Fields
	if in.Kid != "" && !kidShape.MatchString(in.Kid) {
		p.Add("kid", "invalid")
	}
	if in.Algorithm != HS256 {
		if in.Kid == "" {
			p.Add("kid", "blank") // the reference makes kids for HMAC only (AZ-270)
		}
		p.Add("algorithm", "inclusion")
	}
	p.Add("scope", scopeProblems(in.Scope)...)
	if h.State != account.StateActive {
		p.Add("key_holder_account", "invalid")
	}
	_, total, err := rows.APIKeys(ctx, Query{HolderUID: h.UID, OrderBy: "id", Limit: 1})
	if err != nil {
		return fmt.Errorf("count api keys: %w", err)
	}
	if total >= s.cfg.MaxKeys {
		p.Add("api_key", "limit_reached")
	}
	return p.Err()
}

func scopeProblems(scope []string) []string {
	if len(strings.Join(scope, ",")) > scopeMax {
		return []string{"too_long"}
	}
	return nil
}

// A Patch changes the fields that are not nil.
type Patch struct {
	Scope *[]string
	State *string
}

// UpdateKey changes a key and returns it without its secret. code is as in CreateKey. Errors, in
// order: account.ErrNoServiceAccount, those of factor.Service.RequireOTP, ErrNoKey, invalid.Fields.
func (s *Service) UpdateKey(
	ctx context.Context, by account.Actor, code string, of Holder, kid string, patch Patch,
) (Key, error) {
	if err := s.open(ctx, by, code, of); err != nil {
		return Key{}, fmt.Errorf("update api key: %w", err)
	}
	var k Key
	err := s.update(ctx, func(tx work) error {
		h, err := resolve(ctx, tx, by, of)
		if err != nil {
			return err
		}
		if k, err = tx.APIKey(ctx, h.UID, kid); err != nil {
			return err
		}
		var p invalid.Fields
		if patch.Scope != nil {
			k.Scope = *patch.Scope
			p.Add("scope", scopeProblems(k.Scope)...)
		}
		if patch.State != nil {
			k.State = *patch.State
		}
		switch {
		case patch.State != nil && !slices.Contains([]string{Active, Inactive, Disabled}, k.State):
			p.Add("state", "inclusion")
		case k.State == Active && h.State != account.StateActive:
			p.Add("state", "invalid")
		}
		if err := p.Err(); err != nil {
			return err
		}
		if err := tx.PutAPIKey(ctx, &k); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.keyActivity(by, "api key update", kid))
	})
	if err != nil {
		return Key{}, fmt.Errorf("update api key: %w", err)
	}
	k.Secret = ""
	return k, nil
}

// DeleteKey removes a key. code is as in CreateKey. Errors, in order: account.ErrNoServiceAccount,
// those of factor.Service.RequireOTP, ErrNoKey.
func (s *Service) DeleteKey(ctx context.Context, by account.Actor, code string, of Holder, kid string) error {
	if err := s.open(ctx, by, code, of); err != nil {
		return fmt.Errorf("delete api key: %w", err)
	}
	err := s.update(ctx, func(tx work) error {
		h, err := resolve(ctx, tx, by, of)
		if err != nil {
			return err
		}
		if err := tx.DeleteAPIKey(ctx, h.UID, kid); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.keyActivity(by, "api key delete", kid))
	})
	if err != nil {
		return fmt.Errorf("delete api key: %w", err)
	}
	return nil
}

// keyActivity records an action on a key (W-R24).
func (s *Service) keyActivity(by account.Actor, action, kid string) audit.Activity {
	a := by.Activity(s.now(), "account", action, audit.Succeed, "")
	data, _ := json.Marshal(map[string]string{"kid": kid}) // a string always marshals
	a.Data = string(data)
	return a
}
