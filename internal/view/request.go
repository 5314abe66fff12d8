package view

import (
	"encoding/json"
	"time"

	"barong/internal/account"
)

// Request is a change that waits for a second member of the staff, or did.
type Request struct {
	ID        int64           `json:"id"`
	Action    string          `json:"action" doc:"staff_role, superadmin, permissions, restrictions or revoke_all."`
	AskerKind string          `json:"asker_kind" doc:"user, service or operator."`
	AskedBy   string          `json:"asked_by" doc:"The uid of a user, the names of peer services, or a command."`
	AskerRole *string         `json:"asker_role" doc:"Of a user, at asking."`
	TargetUID *string         `json:"target_uid" doc:"Of the user whom it is about."`
	Content   json.RawMessage `json:"content" doc:"The change."`
	Seen      json.RawMessage `json:"seen" doc:"Its target at asking: it must be so still when the request is confirmed."`
	State     string          `json:"state" doc:"open, confirmed, refused or lapsed."`
	Reason    *string         `json:"reason" doc:"Of one that lapsed: time, target, asker or settings."`
	DecidedBy *string         `json:"decided_by" doc:"The uid of the user who confirmed or refused it."`
	CreatedAt Time            `json:"created_at"`
	ExpiresAt Time            `json:"expires_at"`
	DecidedAt *Time           `json:"decided_at"`
}

// RequestWithPreviews is a request with its effect, null where it is not about the policy.
type RequestWithPreviews struct {
	Request
	Preview    *Preview `json:"preview" doc:"Its effect when it was asked for."`
	PreviewNow *Preview `json:"preview_now" doc:"Its effect now, if it were made by you; null where it is not possible any more."`
}

// Waiting is the answer to a change that waits for a second member of the staff.
type Waiting struct {
	RequestID int64  `json:"request_id" doc:"That GET /admin/requests/{id} shows to staff."`
	Action    string `json:"action" doc:"As the setting four_eyes has it."`
	ExpiresAt Time   `json:"expires_at" doc:"When it lapses unless another member of the staff confirms it."`
}

// WaitingOf shows the request that waits.
func WaitingOf(a account.Asked) Waiting { return Waiting{a.ID, a.Action, Time(a.ExpiresAt)} }

// RequestOf shows r at a moment: one whose time is over has lapsed.
func RequestOf(r account.Request, now time.Time) Request {
	if r.State == account.RequestOpen && r.Over(now) {
		r.State, r.Reason = account.RequestLapsed, account.LapsedByTime
	}
	v := Request{
		ID: r.ID, Action: r.Action, AskerKind: r.AskerKind, AskedBy: r.Asker, AskerRole: named(r.AskerRole),
		TargetUID: named(r.TargetUID), Content: object(r.Content), Seen: object(r.Seen), State: r.State, Reason: named(r.Reason),
		DecidedBy: named(r.Decider), CreatedAt: Time(r.CreatedAt), ExpiresAt: Time(r.ExpiresAt),
	}
	if !r.DecidedAt.IsZero() {
		v.DecidedAt = new(Time(r.DecidedAt))
	}
	return v
}

// named is nil for "".
func named(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// object is JSON as it is kept, {} for "".
func object(text string) json.RawMessage {
	if text == "" {
		return json.RawMessage("{}")
	}
	return json.RawMessage(text)
}
