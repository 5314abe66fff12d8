package account

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"barong/internal/audit"
	"barong/internal/limit"
)

// A Hasher hashes passwords on a bounded pool; secret.Hasher is one. Its errors (a full
// queue) pass through Service wrapped; secret.ErrCrowded becomes a TooManyAttempts.
type Hasher interface {
	Hash(ctx context.Context, password string) (digest string, err error)
	// Match reports whether password is the digest's, and whether the digest is of an old
	// kind and should be replaced. An empty digest costs the same and matches nothing.
	Match(ctx context.Context, digest, password string) (ok, rehash bool, err error)
}

// Config holds the rules that operators set; zero values mean the defaults.
type Config struct {
	// AppName is the issuer that authenticator apps show: "Barong".
	AppName string
	// UIDPrefix begins the uids of users: "ID".
	UIDPrefix string
	// Activation are the private labels, key to value, that make a user active:
	// email: verified.
	Activation map[string]string
	// Triggers turn a private label's key into a state; later ones win. Nil means none.
	Triggers []Trigger
	// StaffRoles are the roles that only a higher rank changes, MemberRoles those of the lowest
	// rank; nil means the shipped ones. A role in neither is the superadmins' to give.
	StaffRoles, MemberRoles []string
	// Passwords are the rules for new passwords.
	Passwords PasswordRules
	// FailureFloor is the least time that a refused sign-in takes, and any request for a mail:
	// 300 ms. Longer work takes a multiple of it.
	FailureFloor time.Duration
	// Mail makes the tokens of mailed links; nil makes and takes none.
	Mail MailTokens
	// Domain is the site that mailed links lead to: "http://localhost", never somebody else's.
	Domain string
	// DefaultLanguage of mails, two lower-case letters: "en".
	DefaultLanguage string
	// Limits bound how often things may be tried.
	Limits Limits
	// Devices know the devices that accounts were used from; nil knows and remembers none.
	Devices *Devices
	// MaxKeys bounds the API keys of one holder: 20 (W-R10).
	MaxKeys int
}

// A Trigger gives users with a private label of one of the keys a state.
type Trigger struct {
	State string
	Keys  []string
}

// DefaultTriggers are the shipped ones.
func DefaultTriggers() []Trigger {
	return []Trigger{
		{StateBanned, []string{"ban", "fraud"}},
		{StateDeleted, []string{"delete"}},
		{StateLocked, []string{"suspicious", "lock"}},
	}
}

func (c Config) withDefaults() Config {
	if c.AppName == "" {
		c.AppName = "Barong"
	}
	if c.UIDPrefix == "" {
		c.UIDPrefix = "ID"
	}
	c.UIDPrefix = strings.ToUpper(c.UIDPrefix)
	if c.Activation == nil {
		c.Activation = map[string]string{"email": "verified"}
	}
	if c.StaffRoles == nil {
		c.StaffRoles = DefaultStaffRoles()
	}
	if c.MemberRoles == nil {
		c.MemberRoles = DefaultMemberRoles()
	}
	if c.FailureFloor == 0 {
		c.FailureFloor = 300 * time.Millisecond
	}
	c.Limits = c.Limits.withDefaults()
	if c.Mail == nil {
		c.Mail = noMail{}
	}
	if c.Domain == "" {
		c.Domain = "http://localhost"
	}
	if c.DefaultLanguage = languageCode(c.DefaultLanguage); c.DefaultLanguage == "" {
		c.DefaultLanguage = "en"
	}
	if c.MaxKeys <= 0 {
		c.MaxKeys = 20
	}
	return c
}

// A Service holds the rules of accounts. Its methods are safe for concurrent use; each
// commits its rows, its activity, its change-feed rows and its events together.
type Service struct {
	cfg    Config
	store  Store
	hasher Hasher
	limits limit.Store
	around limit.Store // of wide networks, in this process
	used   limit.Store // of things that work once; on when limits are off
	now    func() time.Time
	sleep  func(ctx context.Context, d time.Duration)
}

// NewService makes a service; now may be nil for time.Now.
func NewService(cfg Config, store Store, hasher Hasher, limits limit.Store, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	used, around := limits, limit.Store(new(limit.Memory))
	if cfg.Limits.Off {
		limits, around = unlimited{}, unlimited{}
	}
	return &Service{
		cfg: cfg.withDefaults(), store: store, hasher: patient{hasher}, limits: limits, around: around, used: used, now: now, sleep: sleep,
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
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
	// SessionID is the session it acts in (session.ID), zero for none.
	SessionID [32]byte
	// NextSessionID is the id under which that session goes on when the actor's change ends all
	// others, zero for none: until the client knows it, the old one may read (Renewal).
	NextSessionID [32]byte
	Client
}

// Activity topics and their actions (identity §6.7).
const (
	topicSession  = "session"
	topicOTP      = "otp"
	topicAccount  = "account"
	actionLogin   = "login"
	actionLogin2F = "login::2fa"
)

// activity is a user's own activity; reason goes into its data, "" for none.
func (s *Service) activity(uid string, c Client, topic, action, result, reason string) audit.Activity {
	a := audit.Activity{
		ActorUID: uid, ActorKind: string(KindUser), ActorRef: uid, Category: audit.CategoryUser,
		IPCountry: c.Country, UserAgent: c.UserAgent,
		Topic: topic, Action: action, Result: result, CreatedAt: s.now(),
	}
	if c.IP.IsValid() {
		a.IP = c.IP.Unmap().String()
	}
	if a.UserAgent == "" {
		a.UserAgent = "unknown" // W-I20
	}
	data := struct {
		Reason string `json:"reason,omitempty"`
		Note   string `json:"note,omitempty"`
	}{Reason: reason}
	if !knownBrowser(c.UserAgent) {
		data.Note = "Detected suspicious browser"
	}
	if data.Reason != "" || data.Note != "" {
		text, _ := json.Marshal(data) // two strings always marshal
		a.Data = string(text)
	}
	return a
}

// knownBrowser reports whether a user agent names a browser that people use (T-ACT-4).
func knownBrowser(agent string) bool {
	for _, product := range []string{
		"Chrome/", "Chromium/", "CriOS/", "Firefox/", "FxiOS/", "Safari/", "Edg/", "Edge/", "OPR/",
		"Opera/", "MSIE ", "Trident/",
	} {
		if strings.Contains(agent, product) {
			return true
		}
	}
	return false
}
