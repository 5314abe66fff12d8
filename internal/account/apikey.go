package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"barong/internal/audit"
	"barong/internal/secret"
)

// ErrCouldNotSaveSecret says that a new key's secret could not be sealed; nothing is stored.
var ErrCouldNotSaveSecret = errors.New("account: api key secret cannot be saved")

// AlgorithmHS256 is the one algorithm of API keys version 1 (AZ-272).
const AlgorithmHS256 = "HS256"

// States of API keys; only active ones are honoured (AZ-274). This service sets inactive, the
// public front end sets disabled (design D30): each shows as it was set.
const (
	KeyActive   = "active"
	KeyInactive = "inactive"
	KeyDisabled = "disabled"
)

// An APIKey signs requests for its holder.
type APIKey struct {
	ID         int64
	Kid        string
	Algorithm  string
	Scope      []string
	State      string
	HolderUID  string
	HolderKind Kind
	// Secret is set on creation and by KeyRecord only; lists leave it "".
	Secret    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String keeps the secret out of logs and errors.
func (k APIKey) String() string { return "api key " + k.Kid }

// GoString keeps the secret out of %#v.
func (k APIKey) GoString() string { return k.String() }

// KeyQuery selects a page of one holder's keys.
type KeyQuery struct {
	HolderUID string
	// OrderBy is one of id, kid, algorithm, scope, state, created_at, updated_at (W-R12).
	OrderBy string
	Desc    bool
	// Limit and Offset count rows.
	Limit, Offset int
}

// APIKeyStore keeps API keys, their secrets sealed. Every write leaves a change-feed row
// (kind feed.Key, ref kid).
type APIKeyStore interface {
	// APIKeys returns a page without secrets, and how many there are in all.
	APIKeys(ctx context.Context, q KeyQuery) ([]APIKey, int, error)
	// APIKey loads one of a holder's keys without its secret; ErrNotFound.
	APIKey(ctx context.Context, holderUID, kid string) (APIKey, error)
	// AddAPIKey seals the secret, inserts k and fills ID and times; ErrTaken for the kid,
	// ErrNotFound when there is no such holder, ErrSeal when the secret cannot be sealed.
	AddAPIKey(ctx context.Context, k *APIKey) error
	// PutAPIKey writes scope and state by kid; ErrNotFound.
	PutAPIKey(ctx context.Context, k *APIKey) error
	// DeleteAPIKey removes one of a holder's keys; ErrNotFound.
	DeleteAPIKey(ctx context.Context, holderUID, kid string) error
	// DeactivateAPIKeys makes every active key of the holder and, for a user, of the
	// user's service accounts inactive (AZ-286), and returns how many.
	DeactivateAPIKeys(ctx context.Context, holderUID string) (int, error)
}

// kidShape is the form of a kid that a client chooses (resource §5.8).
var kidShape = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

// scopeMax is the length of the scope column, entries joined by commas.
const scopeMax = 255

// keyHolder is the user or service account that an actor's call is about.
type keyHolder struct {
	UID   string
	Kind  Kind
	State string
}

// holder resolves uid, "" for the actor, to the actor or a service account that the actor
// owns; ErrNotFound otherwise.
func holder(ctx context.Context, tx Tx, me Actor, uid string) (keyHolder, error) {
	if uid == "" || uid == me.UID {
		u, err := tx.User(ctx, me.UID)
		if err != nil {
			return keyHolder{}, fmt.Errorf("load key holder: %w", err)
		}
		return keyHolder{u.UID, KindUser, u.State}, nil
	}
	a, err := tx.ServiceAccount(ctx, uid)
	if err != nil {
		return keyHolder{}, fmt.Errorf("load key holder: %w", err)
	}
	if a.OwnerUID != me.UID {
		return keyHolder{}, ErrNotFound
	}
	return keyHolder{a.UID, KindServiceAccount, a.State}, nil
}

// OwnServiceAccount loads a service account that the actor owns; ErrNotFound for any other.
func (s *Service) OwnServiceAccount(ctx context.Context, me Actor, uid string) (ServiceAccount, error) {
	a, err := s.store.ServiceAccount(ctx, uid)
	if err != nil {
		return ServiceAccount{}, fmt.Errorf("load service account: %w", err)
	}
	if a.OwnerUID != me.UID {
		return ServiceAccount{}, ErrNotFound
	}
	return a, nil
}

// ListKeys returns a page of keys without secrets, and how many there are. q.HolderUID is
// "" for the actor's own or the uid of a service account of the actor's; ErrNotFound.
func (s *Service) ListKeys(ctx context.Context, me Actor, q KeyQuery) ([]APIKey, int, error) {
	h, err := holder(ctx, s.store, me, q.HolderUID)
	if err != nil {
		return nil, 0, err
	}
	q.HolderUID = h.UID
	keys, total, err := s.store.APIKeys(ctx, q)
	if err != nil {
		return nil, 0, fmt.Errorf("list api keys: %w", err)
	}
	return keys, total, nil
}

// A NewAPIKey is the input of CreateKey.
type NewAPIKey struct {
	HolderUID string // as in ListKeys
	Kid       string // "" generates one
	Algorithm string
	Scope     []string
}

// CreateKey makes an active key and returns it with its secret, the only time that it shows. The
// edge asks RequireOTP before. Errors: ErrNotFound (holder), Invalid, ErrCouldNotSaveSecret.
func (s *Service) CreateKey(ctx context.Context, me Actor, in NewAPIKey) (APIKey, error) {
	var k APIKey
	create := func(tx Tx) error {
		h, err := holder(ctx, tx, me, in.HolderUID)
		if err != nil {
			return err
		}
		if err := s.checkNewKey(ctx, tx, h, in); err != nil {
			return err
		}
		k = APIKey{
			Kid: in.Kid, Algorithm: in.Algorithm, Scope: in.Scope, State: KeyActive,
			HolderUID: h.UID, HolderKind: h.Kind, Secret: secret.Hex(16),
		}
		if k.Kid == "" {
			k.Kid = secret.Hex(8)
		}
		if err := tx.AddAPIKey(ctx, &k); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.keyActivity(me, "api key create", k.Kid))
	}
	err := s.update(ctx, create)
	if errors.Is(err, ErrTaken) && in.Kid == "" {
		err = s.update(ctx, create) // another random kid
	}
	switch {
	case errors.Is(err, ErrTaken):
		return APIKey{}, invalid("kid", "taken")
	case errors.Is(err, ErrSeal):
		return APIKey{}, fmt.Errorf("%w: %w", ErrCouldNotSaveSecret, err)
	case err != nil:
		return APIKey{}, fmt.Errorf("create api key: %w", err)
	}
	return k, nil
}

func (s *Service) checkNewKey(ctx context.Context, tx Tx, h keyHolder, in NewAPIKey) error {
	var p problems
	if in.Kid != "" && !kidShape.MatchString(in.Kid) {
		p.add("kid", "invalid")
	}
	if in.Algorithm != AlgorithmHS256 {
		if in.Kid == "" {
			p.add("kid", "blank") // the reference makes kids for HMAC only (AZ-270)
		}
		p.add("algorithm", "inclusion")
	}
	p.add("scope", scopeProblems(in.Scope)...)
	if h.State != StateActive {
		p.add("key_holder_account", "invalid")
	}
	_, total, err := tx.APIKeys(ctx, KeyQuery{HolderUID: h.UID, OrderBy: "id", Limit: 1})
	if err != nil {
		return fmt.Errorf("count api keys: %w", err)
	}
	if total >= s.cfg.MaxKeys {
		p.add("api_key", "limit_reached")
	}
	return p.err()
}

func scopeProblems(scope []string) []string {
	if len(strings.Join(scope, ",")) > scopeMax {
		return []string{"too_long"}
	}
	return nil
}

// A KeyPatch changes the fields that are not nil.
type KeyPatch struct {
	Scope *[]string
	State *string
}

// UpdateKey changes a key and returns it without its secret. holderUID is as in ListKeys.
// Errors: ErrNotFound (holder or key), Invalid.
func (s *Service) UpdateKey(
	ctx context.Context, me Actor, holderUID, kid string, patch KeyPatch,
) (APIKey, error) {
	var k APIKey
	err := s.update(ctx, func(tx Tx) error {
		h, err := holder(ctx, tx, me, holderUID)
		if err != nil {
			return err
		}
		if k, err = tx.APIKey(ctx, h.UID, kid); err != nil {
			return err
		}
		var p problems
		if patch.Scope != nil {
			k.Scope = *patch.Scope
			p.add("scope", scopeProblems(k.Scope)...)
		}
		if patch.State != nil {
			k.State = *patch.State
		}
		switch {
		case patch.State != nil && !slices.Contains([]string{KeyActive, KeyInactive, KeyDisabled}, k.State):
			p.add("state", "inclusion")
		case k.State == KeyActive && h.State != StateActive:
			p.add("state", "invalid")
		}
		if err := p.err(); err != nil {
			return err
		}
		if err := tx.PutAPIKey(ctx, &k); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.keyActivity(me, "api key update", kid))
	})
	if err != nil {
		return APIKey{}, fmt.Errorf("update api key: %w", err)
	}
	k.Secret = ""
	return k, nil
}

// DeleteKey removes a key. holderUID is as in ListKeys. ErrNotFound (holder or key).
func (s *Service) DeleteKey(ctx context.Context, me Actor, holderUID, kid string) error {
	err := s.update(ctx, func(tx Tx) error {
		h, err := holder(ctx, tx, me, holderUID)
		if err != nil {
			return err
		}
		if err := tx.DeleteAPIKey(ctx, h.UID, kid); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.keyActivity(me, "api key delete", kid))
	})
	if err != nil {
		return fmt.Errorf("delete api key: %w", err)
	}
	return nil
}

// keyActivity records an action on a key (W-R24).
func (s *Service) keyActivity(me Actor, action, kid string) audit.Activity {
	a := s.activity(me.UID, me.Client, topicAccount, action, audit.Succeed, "")
	data, _ := json.Marshal(map[string]string{"kid": kid}) // a string always marshals
	a.Data = string(data)
	return a
}
