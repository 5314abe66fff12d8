package audit

import (
	"context"
	"time"
)

// Results of activities (AZ-166).
const (
	Succeed = "succeed"
	Failed  = "failed"
	Denied  = "denied"
)

// Categories of activities (AZ-160, FX-37).
const (
	CategoryAdmin = "admin"
	CategoryUser  = "user"
)

// An Activity is one immutable row. Strings longer than their columns are cut by the store,
// never refused (FX-33).
type Activity struct {
	ID int64
	// ActorUID names the acting user; for a service account its owner, or "" (FX-37).
	ActorUID string
	// ActorKind and ActorRef name the credential's own principal: "user" or
	// "service_account", and its uid. The command line is "operator", without one.
	ActorKind string
	ActorRef  string
	TargetUID string // "" for none; an unknown uid goes into Data instead
	Category  string
	IP        string
	IPCountry string // "" when unknown
	UserAgent string
	Topic     string
	Action    string
	Result    string
	Data      string // JSON object, masked; "" for none
	CreatedAt time.Time
}

// Query selects activities, newest first.
type Query struct {
	ActorUID, TargetUID, Category, Topic, Action, Result string // "" matches any
	From, To                                             time.Time
	Limit, Offset                                        int
}

// Reader lists activities. It is safe for concurrent use.
type Reader interface {
	// Activities returns a page and the number of all that match.
	Activities(ctx context.Context, q Query) ([]Activity, int, error)
}

// Store keeps activities. It is safe for concurrent use.
type Store interface {
	Reader
	// AddActivities writes all or none. Rows it has already written under the same ref are
	// skipped, so that a replay after a crash writes nothing twice.
	AddActivities(ctx context.Context, rows []Entry) error
}

// An Entry is an activity with the reference that makes its write idempotent.
type Entry struct {
	Ref string // 16 random bytes in hex, made when the activity is recorded
	Activity
}
