package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"barong/internal/audit"
	"barong/internal/limit"
	"barong/internal/password"
	"barong/internal/secret"
)

// A Hasher hashes passwords on a bounded pool; secret.Hasher is one. Its errors (a full
// queue) pass through Service wrapped; secret.ErrCrowded becomes a limit.TooMany.
type Hasher interface {
	Hash(ctx context.Context, password string) (digest string, err error)
	// Match reports whether password is the digest's, and whether the digest is of an old
	// kind and should be replaced. An empty digest costs the same and matches nothing.
	Match(ctx context.Context, digest, password string) (ok, rehash bool, err error)
}

// Config holds the rules that operators set. UIDPrefix, Activation, StaffRoles, MemberRoles and
// DefaultLanguage are mandatory.
type Config struct {
	// UIDPrefix begins the uids of users.
	UIDPrefix string
	// Activation are the private labels, key to value, that make a user active; an empty map
	// makes everybody so.
	Activation map[string]string
	// Triggers turn a private label's key into a state; later ones win. Nil means none.
	Triggers []Trigger
	// StaffRoles are the roles that only a higher rank changes, MemberRoles those of the lowest
	// rank. A role in neither is the superadmins' to give.
	StaffRoles, MemberRoles []string
	// Passwords are the rules for new passwords.
	Passwords password.Rules
	// ReservedLabels are further keys under which users set no labels of their own.
	ReservedLabels []string
	// DefaultLanguage of mails, two letters.
	DefaultLanguage string
	// StopKeysOn2FALoss switches API keys off with their owner's second factor.
	StopKeysOn2FALoss bool
	// FourEyes are the changes that wait for a second member of the staff.
	FourEyes FourEyes
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	for _, p := range []struct {
		missing bool
		text    string
	}{
		{c.UIDPrefix == "", "no prefix of uids"},
		{c.Activation == nil, "no labels that make a user active"},
		{c.StaffRoles == nil, "no roles of staff"},
		{c.MemberRoles == nil, "no roles of members"},
		{languageCode(c.DefaultLanguage) == "", "no language for mails"},
	} {
		if p.missing {
			problems = append(problems, errors.New(p.text))
		}
	}
	for _, action := range c.FourEyes.Actions {
		if !slices.Contains(RequestActions(), action) {
			problems = append(problems, fmt.Errorf("four eyes: unknown action %q", action))
		}
	}
	return errors.Join(problems...)
}

// A Service holds the rules of accounts. Its methods are safe for concurrent use; each
// commits its rows, its activity, its change-feed rows and its events together.
type Service struct {
	cfg    Config
	rows   Reader
	commit func(ctx context.Context, f func(Tx) error) error
	hasher Hasher
	now    func() time.Time
}

// Parts are the parts that a Service works with.
type Parts struct {
	Rows Reader
	// Update runs f in one transaction, again when the engine asks for it: f must have no effect
	// but through its Tx. An error of f undoes all of it and is returned as it is.
	Update func(ctx context.Context, f func(Tx) error) error
	Hasher Hasher           // nil where nobody gets a password
	Now    func() time.Time // nil for time.Now
}

// NewService checks cfg and makes a service.
func NewService(cfg Config, p Parts) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("accounts: configuration: %w", err)
	}
	cfg.UIDPrefix, cfg.DefaultLanguage = strings.ToUpper(cfg.UIDPrefix), languageCode(cfg.DefaultLanguage)
	if p.Now == nil {
		p.Now = time.Now
	}
	return &Service{cfg: cfg, rows: p.Rows, commit: p.Update, hasher: patient{p.Hasher}, now: p.Now}, nil
}

// Hash makes the digest of a password; the rules for new ones are not asked. It returns a
// limit.TooMany for a crowded caller.
func (s *Service) Hash(ctx context.Context, password string) (digest string, err error) {
	return s.hasher.Hash(ctx, password)
}

// Match is Hasher.Match; it returns a limit.TooMany for a crowded caller.
func (s *Service) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	return s.hasher.Match(ctx, digest, password)
}

// Passwords are the rules for new passwords.
func (s *Service) Passwords() password.Rules { return s.cfg.Passwords }

// patient is a Hasher that asks crowded callers to come back in a moment.
type patient struct{ Hasher }

const crowdedWait = time.Second

func (p patient) Hash(ctx context.Context, password string) (string, error) {
	digest, err := p.Hasher.Hash(ctx, password)
	return digest, crowded(err)
}

func (p patient) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	ok, rehash, err = p.Hasher.Match(ctx, digest, password)
	return ok, rehash, crowded(err)
}

func crowded(err error) error {
	if errors.Is(err, secret.ErrCrowded) {
		return errors.Join(limit.TooMany{RetryAfter: crowdedWait}, err)
	}
	return err
}

// A Client is where a request comes from, for activities.
type Client struct {
	IP        netip.Addr
	UserAgent string // as sent; "" when absent
	Country   string // GeoIP name, "" when unknown
	// Language is the one that the browser likes best of those that mails have, "" for none.
	Language string
}

// An Actor is the principal that a service method acts for.
type Actor struct {
	UID  string
	Role string
	// Service names a peer service that acts, Operator a command of the operator's; then UID is "".
	Service, Operator string
	// Session is the session that it acts in, zero for none; see Writer.Standing.
	Session SessionMark
	// NextSessionID is the id under which that session goes on when the actor's change ends all
	// others, zero for none: until the client knows it, the old one may read (Renewal).
	NextSessionID [32]byte
	Client
}

// Operator is the actor that a command of the operator's is, such as "sessions revoke".
func Operator(command string) Actor { return Actor{Operator: command} }

// Kinds of actors in activities that have no uid: peer services and the operator's commands.
const (
	kindService  = "service"
	kindOperator = "operator"
)

// Activity is the beginning of an activity that a user with this uid makes from here. The caller
// adds the category, topic, action and result.
func (c Client) Activity(uid string, at time.Time) audit.Activity {
	a := audit.Activity{
		ActorUID: uid, ActorKind: string(KindUser), ActorRef: uid,
		IPCountry: c.Country, UserAgent: c.UserAgent, CreatedAt: at,
	}
	if c.IP.IsValid() {
		a.IP = c.IP.Unmap().String()
	}
	if a.UserAgent == "" {
		a.UserAgent = "unknown" // so that no activity lacks one (W-I20)
	}
	return a
}

// Activity is an activity of the actor's own; reason goes into its data, "" for none.
func (by Actor) Activity(at time.Time, topic, action, result, reason string) audit.Activity {
	a := by.Client.Activity(by.UID, at)
	a.Category, a.Topic, a.Action, a.Result = audit.CategoryUser, topic, action, result
	switch {
	case by.Operator != "":
		a.ActorKind, a.ActorRef, a.Category, a.UserAgent = kindOperator, by.Operator, audit.CategoryAdmin, ""
		return a
	case by.Service != "":
		a.ActorKind, a.ActorRef, a.Category, a.UserAgent = kindService, by.Service, audit.CategoryAdmin, ""
		return a
	}
	data := struct {
		Reason string `json:"reason,omitempty"`
		Note   string `json:"note,omitempty"`
	}{Reason: reason}
	if !audit.KnownBrowser(by.UserAgent) {
		data.Note = "Detected suspicious browser"
	}
	if data.Reason != "" || data.Note != "" {
		text, _ := json.Marshal(data) // two strings always marshal
		a.Data = string(text)
	}
	return a
}
