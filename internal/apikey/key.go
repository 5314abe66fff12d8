package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
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
	ID        int64
	Kid       string
	Algorithm string
	// Scope names the scopes of the rules that the key may use; none is all of them. ScopeEnforced
	// says so of keys that this service has given their scope: others, imported or made by earlier
	// versions, have one that was a mere word.
	Scope         []string
	ScopeEnforced bool
	State         string
	HolderUID     string
	HolderKind    account.Kind
	// Networks are where the key may be used from.
	Networks Networks
	// ExpiresAt is the time from which requests are refused, whatever State says; the zero time is
	// never.
	ExpiresAt time.Time
	// LastUsedAt and LastUsedIP are those of the last request that the key was allowed, to the
	// minute; zero for none. Writes of a key leave them.
	LastUsedAt time.Time
	LastUsedIP netip.Addr
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
	// PutAPIKey writes scope, its enforcement, state, networks and expiry by kid; ErrNoKey.
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
	return s.page(ctx, q)
}

// KeysOf is ListKeys for staff, of the user or service account whose uid q has; account.ErrNotFound.
func (s *Service) KeysOf(ctx context.Context, q Query) ([]Key, int, error) {
	_, err := s.rows.User(ctx, q.HolderUID)
	if errors.Is(err, account.ErrNoUser) {
		_, err = s.rows.ServiceAccount(ctx, q.HolderUID)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("load key holder: %w", err)
	}
	return s.page(ctx, q)
}

func (s *Service) page(ctx context.Context, q Query) ([]Key, int, error) {
	keys, total, err := s.rows.APIKeys(ctx, q)
	if err != nil {
		return nil, 0, fmt.Errorf("list api keys: %w", err)
	}
	return keys, total, nil
}

// Self returns the key that signed the caller's own request, without its secret; uid is its holder, as the
// gate has proved it. ErrNoKey when it is no key of that holder's any more; account.ErrActorChanged when it, or
// the holder, may not act by now.
func (s *Service) Self(ctx context.Context, uid, kid string) (Key, error) {
	k, err := s.rows.APIKey(ctx, uid, kid)
	if err != nil {
		return Key{}, fmt.Errorf("read the api key itself: %w", err)
	}
	var state string
	if k.HolderKind == account.KindUser {
		u, err := s.rows.User(ctx, uid)
		if err != nil {
			return Key{}, fmt.Errorf("load key holder: %w", err)
		}
		state = u.State
	} else {
		a, err := s.rows.ServiceAccount(ctx, uid)
		if err != nil {
			return Key{}, fmt.Errorf("load key holder: %w", err)
		}
		state = a.State
	}
	over := !k.ExpiresAt.IsZero() && !s.now().Before(k.ExpiresAt)
	if k.State != Active || over || !account.MayAct(state) {
		return Key{}, account.ErrActorChanged
	}
	return k, nil
}

// An Input is the input of CreateKey.
type Input struct {
	Kid       string // "" generates one
	Algorithm string
	Bounds
}

// Bounds are the limits of a key's use that its holder sets; nil leaves one as it is.
type Bounds struct {
	Scope     *[]string // names of the rules' scopes; blanks around them do not count
	Networks  *[]string // see ParseNetworks
	ExpiresIn *int      // seconds from now; 0 is the longest that the rules admit, without any for ever
}

// CreateKey makes an active key and returns it with its secret, the only time that it shows. code is
// a one-time code of the actor's. Errors, in order: account.ErrNoServiceAccount, those of
// factor.Service.RequireOTP, invalid.Fields, ErrCouldNotSaveSecret.
func (s *Service) CreateKey(ctx context.Context, by account.Actor, code string, of Holder, in Input) (Key, error) {
	if err := s.open(ctx, by, code, of); err != nil {
		return Key{}, fmt.Errorf("create api key: %w", err)
	}
	return s.create(ctx, in, func(tx work) (keyHolder, error) { return resolve(ctx, tx, by, of) },
		func(k Key) audit.Activity { return s.keyActivity(by, "api key create", k.Kid) })
}

// create makes a key of the holder, with the activity that note makes of it.
func (s *Service) create(
	ctx context.Context, in Input, holder func(work) (keyHolder, error), note func(Key) audit.Activity,
) (Key, error) {
	var k Key
	create := func(tx work) error {
		h, err := holder(tx)
		if err != nil {
			return err
		}
		k = Key{
			Kid: in.Kid, Algorithm: in.Algorithm, State: Active,
			HolderUID: h.UID, HolderKind: h.Kind, Secret: secret.Hex(16), ScopeEnforced: true,
		}
		if err := s.checkNewKey(ctx, tx, h, in, &k); err != nil {
			return err
		}
		if k.Kid == "" {
			k.Kid = secret.Hex(8)
		}
		if err := tx.AddAPIKey(ctx, &k); err != nil {
			return err
		}
		return tx.AddActivity(ctx, note(k))
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

// checkNewKey fills the part of k that bounds its use, and returns invalid.Fields.
func (s *Service) checkNewKey(ctx context.Context, rows Reader, h keyHolder, in Input, k *Key) error {
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
	s.bound(k, in.Bounds, &p)
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

// maxExpiresIn is the longest life of a key, in seconds: ten years.
const maxExpiresIn = 10 * 365 * 24 * 60 * 60

// bound gives k the limits of b, and adds the rules that they break to p.
func (s *Service) bound(k *Key, b Bounds, p *invalid.Fields) {
	if b == (Bounds{}) && k.ID != 0 {
		return // a key of before the rules may be switched on and off
	}
	if b.Scope != nil {
		k.Scope, k.ScopeEnforced = nil, true
		known := true
		for _, name := range *b.Scope {
			name = strings.TrimSpace(name)
			known = known && s.scopes(name)
			if !slices.Contains(k.Scope, name) {
				k.Scope = append(k.Scope, name)
			}
		}
		switch {
		case len(strings.Join(k.Scope, ",")) > scopeMax:
			p.Add("scope", invalid.TooLong)
		case !known:
			p.Add("scope", "unknown")
		}
	}
	if b.Networks != nil {
		list, rules := ParseNetworks(*b.Networks)
		k.Networks = list
		p.Add("ip_whitelist", rules...)
	}
	life := time.Duration(-1) // as it is
	if b.ExpiresIn != nil {
		if *b.ExpiresIn < 0 || *b.ExpiresIn > maxExpiresIn {
			p.Add("expires_in", invalid.Malformed)
			return
		}
		life = time.Duration(*b.ExpiresIn) * time.Second
	}
	s.age(k, life, p)
}

// age has k live for life, or for as long as its scope and networks admit: 0 asks for that, and a
// negative life leaves the expiry as it is, where it may be so. It adds the rules that are broken.
func (s *Service) age(k *Key, life time.Duration, p *invalid.Fields) {
	now := s.now().UTC().Truncate(time.Second)
	switch {
	case life == 0:
		k.ExpiresAt = time.Time{}
	case life > 0:
		k.ExpiresAt = now.Add(life)
	}
	if len(k.Networks) > 0 || p.Has("ip_whitelist") {
		return
	}
	if has(s.cfg.ListedScopes, k.Scope) {
		p.Add("ip_whitelist", "required")
	}
	if s.cfg.ShortLife <= 0 || !has(s.cfg.ShortScopes, k.Scope) {
		return
	}
	switch last := now.Add(s.cfg.ShortLife); {
	case life > s.cfg.ShortLife:
		p.Add("expires_in", invalid.TooLong)
	case k.ExpiresAt.IsZero(), k.ExpiresAt.After(last):
		k.ExpiresAt = last
	}
}

// A Patch changes the fields that are not nil.
type Patch struct {
	State *string
	Bounds
}

// UpdateKey changes a key and returns it without its secret. code is as in CreateKey. Errors, in
// order: account.ErrNoServiceAccount, those of factor.Service.RequireOTP, ErrNoKey, invalid.Fields.
func (s *Service) UpdateKey(
	ctx context.Context, by account.Actor, code string, of Holder, kid string, patch Patch,
) (Key, error) {
	if err := s.open(ctx, by, code, of); err != nil {
		return Key{}, fmt.Errorf("update api key: %w", err)
	}
	return s.change(ctx, kid, patch, func(tx work) (keyHolder, error) { return resolve(ctx, tx, by, of) },
		s.keyActivity(by, "api key update", kid))
}

// change applies a patch to a key of the holder, with an activity.
func (s *Service) change(
	ctx context.Context, kid string, patch Patch, holder func(work) (keyHolder, error), note audit.Activity,
) (k Key, err error) {
	err = s.update(ctx, func(tx work) error {
		h, err := holder(tx)
		if err != nil {
			return err
		}
		if k, err = tx.APIKey(ctx, h.UID, kid); err != nil {
			return err
		}
		var p invalid.Fields
		s.bound(&k, patch.Bounds, &p)
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
		return tx.AddActivity(ctx, note)
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
