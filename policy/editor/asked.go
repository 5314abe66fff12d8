package editor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"barong/internal/account"
	"barong/internal/invalid"
	"barong/policy"
)

// asked is the content of a request for a change of a row of R.
type asked[C any] struct {
	Operation string `json:"operation"` // create, update or delete
	Force     bool   `json:"force,omitempty"`
	Change    C      `json:"change"`
}

// seen is the target of a request at asking, and the row that it asks for.
type seen struct {
	LockVersion int64 `json:"lock_version,omitempty"`
	Before      any   `json:"before"`
	After       any   `json:"after"`
}

// mostFlipsKept bounds the list of a preview that is kept with a request.
const mostFlipsKept = 100

// AskedOperation is the operation of a request for a change of the policy: create, update or delete.
func AskedOperation(r account.Request) string {
	var a asked[json.RawMessage]
	if json.Unmarshal([]byte(r.Content), &a) != nil {
		return ""
	}
	return a.Operation
}

// waits reports whether a change needs a second member of the staff: its rows are of an action that
// does, and it turns verdicts for more principals than the rules allow one.
func (s *Service) waits(ctx context.Context, tx Tx, action string, flips []Flip) (bool, error) {
	if s.eyes == nil || !s.eyes.FourEyes().Needs(action) {
		return false, nil
	}
	most := s.eyes.FourEyes().Principals
	n, err := concerned(ctx, tx, flips, most+1)
	return n > most, err
}

// concerned counts the principals for whom verdicts flip, up to a number. Those of a role are its users and
// service accounts. An address may be anybody's: it counts as one principal, a prefix as its addresses, and
// a place as everybody.
func concerned(ctx context.Context, tx Tx, flips []Flip, atMost int) (int, error) {
	roles, addresses := []string{}, 0.0
	clients := map[string]bool{}
	for _, f := range flips {
		switch {
		case f.Role != "*" && !slices.Contains(roles, f.Role):
			roles = append(roles, f.Role)
		case f.Role == "*" && !clients[f.Client]:
			clients[f.Client] = true
			addresses += size(f.Client)
		}
	}
	total := 0
	for _, role := range roles {
		n, err := tx.CountPrincipals(ctx, role, atMost)
		if err != nil {
			return 0, err
		}
		total += n
	}
	if addresses > 0 {
		everybody, err := tx.CountPrincipals(ctx, "", atMost)
		if err != nil {
			return 0, err
		}
		total = max(total, int(min(addresses, float64(everybody))))
	}
	return min(total, atMost), nil
}

// size is how many addresses the client of a flip stands for.
func size(client string) float64 {
	if _, err := netip.ParseAddr(client); err == nil {
		return 1
	}
	if p, err := netip.ParsePrefix(client); err == nil {
		return math.Pow(2, float64(p.Addr().BitLen()-p.Bits()))
	}
	return math.Inf(1)
}

// ask keeps a change as a request.
func (k kind[R]) ask(ctx context.Context, s *Service, tx Tx, e Edit, c request[R], m move[R], p Preview) error {
	if len(p.Flips) > mostFlipsKept {
		p.More += len(p.Flips) - mostFlipsKept
		p.Flips = p.Flips[:mostFlipsKept]
	}
	p.Version = s.Version().Seq
	content, err := json.Marshal(asked[request[R]]{Operation: operation(m), Force: e.Force, Change: c})
	if err != nil {
		return fmt.Errorf("ask for a change: %w", err)
	}
	preview, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("ask for a change: %w", err)
	}
	target, err := k.seen(m)
	if err != nil {
		return err
	}
	return s.eyes.In(tx).Ask(ctx, e.By, account.Request{
		Action: k.topic, Content: string(content), Seen: target, Preview: string(preview),
	})
}

func operation[R any](m move[R]) string {
	switch {
	case m.before == nil:
		return "create"
	case m.after == nil:
		return "delete"
	}
	return "update"
}

// seen is a move as its asker saw it.
func (k kind[R]) seen(m move[R]) (string, error) {
	var v seen
	if m.before != nil {
		v.LockVersion, v.Before = k.version(m.before), k.note(m.before)
	}
	if m.after != nil {
		v.After = k.note(m.after)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("describe a change: %w", err)
	}
	return string(text), nil
}

// ChangeAsked makes the change of a request, which the actor confirms, in a transaction that the caller
// has begun with LockPolicy; it is the last that the transaction does. Errors: account.ErrTargetChanged, also where the change would be refused
// by now, and account.ErrAskerLost.
func (s *Service) ChangeAsked(ctx context.Context, tx Tx, by account.Actor, r account.Request) error {
	if r.Action == account.ActionPermissions {
		return changeAsked[policy.Permission, PermissionChange](ctx, s, tx, by, r, permissions, s.judgedPermissions())
	}
	return changeAsked[policy.Restriction, RestrictionChange](ctx, s, tx, by, r, restrictions, s.judgedRestrictions())
}

func changeAsked[R any, C request[R]](
	ctx context.Context, s *Service, tx Tx, by account.Actor, r account.Request, k kind[R], rules judged[R],
) error {
	var a asked[C]
	if err := json.Unmarshal([]byte(r.Content), &a); err != nil {
		return fmt.Errorf("read request %d: %w", r.ID, err)
	}
	m, err := k.planned(ctx, tx, a.Change)
	if _, bad := errors.AsType[invalid.Fields](err); bad || errors.Is(err, policy.ErrNotFound) || errors.Is(err, policy.ErrTaken) {
		return errors.Join(account.ErrTargetChanged, err)
	}
	if err != nil {
		return err
	}
	now, err := k.seen(m)
	if err != nil {
		return err
	}
	if now != r.Seen || k.idle(m) {
		return account.ErrTargetChanged
	}
	e := Edit{By: by, Force: a.Force}
	if err := rules.may(ctx, tx, e, m); refused(err) {
		return errors.Join(account.ErrTargetChanged, err)
	} else if err != nil {
		return err
	}
	asker := Edit{By: account.Actor{UID: r.Asker, Role: r.AskerRole, Client: by.Client}, Force: a.Force}
	if err := rules.may(ctx, tx, asker, m); refused(err) {
		return errors.Join(account.ErrAskerLost, err)
	} else if err != nil {
		return err
	}
	if err := k.write(ctx, s, tx, e, m); err != nil {
		return err
	}
	_, err = tx.NextChange(ctx)
	return err
}

// refused reports whether an error is a refusal of a change that is possible by itself.
func refused(err error) bool {
	return errors.Is(err, ErrWouldLockOut) || errors.Is(err, ErrLastSuperadmin) || errors.Is(err, ErrRoleInUse)
}

// PreviewAsked returns the effect that the change of a request had when it was asked for, and the one that it
// would have now, nil where it is not possible any more. Both are nil for a request that is not about the policy.
func (s *Service) PreviewAsked(ctx context.Context, by account.Actor, r account.Request) (then, now *Preview, err error) {
	if r.Preview == "" {
		return nil, nil, nil
	}
	then = new(Preview)
	if err := json.Unmarshal([]byte(r.Preview), then); err != nil {
		return nil, nil, fmt.Errorf("read the preview of request %d: %w", r.ID, err)
	}
	var p Preview
	if r.Action == account.ActionPermissions {
		p, err = previewAsked(ctx, by, r, s.PreviewPermission)
	} else {
		p, err = previewAsked(ctx, by, r, s.PreviewRestriction)
	}
	if _, bad := errors.AsType[invalid.Fields](err); bad || errors.Is(err, policy.ErrNotFound) || errors.Is(err, policy.ErrTaken) {
		return then, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return then, &p, nil
}

func previewAsked[C any](
	ctx context.Context, by account.Actor, r account.Request, preview func(context.Context, Edit, C) (Preview, error),
) (Preview, error) {
	var a asked[C]
	if err := json.Unmarshal([]byte(r.Content), &a); err != nil {
		return Preview{}, fmt.Errorf("read request %d: %w", r.ID, err)
	}
	return preview(ctx, Edit{By: by, Force: a.Force}, a.Change)
}
