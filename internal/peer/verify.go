package peer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"barong/internal/token"
)

var (
	// ErrUnreadable says that a body is not JSON.
	ErrUnreadable = errors.New("peer: the body is not JSON")
	// ErrUnverified says that a body is no message that may be believed; the text around it says why,
	// for logs, and holds nothing secret.
	ErrUnverified = errors.New("peer: the message is not verified")
	// ErrSignatures says that a message lacks the signatures of its scope.
	ErrSignatures = errors.New("peer: the message lacks signatures")
	// ErrReplayed says that a message, or another one of its id, was accepted before. It wraps
	// ErrUnverified.
	ErrReplayed = fmt.Errorf("%w: it was used before", ErrUnverified)
)

const (
	// MaxBody is the size of a body that carries no file, and MaxUpload of one that does: 10 MB in
	// base64 within base64.
	MaxBody   = 64 << 10
	MaxUpload = 20 << 20
	// MaxSignatures is how many signatures a message has at most.
	MaxSignatures = 16
	// MaxLifetime is from iat to exp, where replay is refused. Without iat it is from now.
	MaxLifetime = 300 * time.Second
	// maxID is the longest jti in bytes.
	maxID = 255
	// afterlife is how much longer a claim is kept than its message lives: another replica's clock
	// may be behind.
	afterlife = time.Minute
)

// A Store remembers the messages that were used, for all replicas. It is safe for concurrent use.
type Store interface {
	// ClaimMessage records the use of the message with the id, the SHA-256 of its jti, and reports whether
	// it is the first: of several equal calls one is. The record may be forgotten after until.
	ClaimMessage(ctx context.Context, id [sha256.Size]byte, until time.Time) (first bool, err error)
}

// A Verifier verifies messages, and counts those that it refuses.
type Verifier struct {
	file    File
	enforce bool
	used    Store
	now     func() time.Time
	refused [len(reasons)]atomic.Int64
}

// Treatments of a message that was used before.
const (
	ReplayEnforce = "enforce" // it is refused: exp and jti are mandatory, the life is MaxLifetime at most
	ReplayOff     = "off"     // nothing; a message without exp is valid forever, as in the reference
)

// Config shapes a Verifier.
type Config struct {
	Replay string // ReplayEnforce or ReplayOff
}

// Check finds contradictions of the configuration and a file.
func (c Config) Check(f File) error {
	switch {
	case c.Replay != ReplayEnforce && c.Replay != ReplayOff:
		return fmt.Errorf("peer: replay is %q, want enforce or off", c.Replay)
	case c.Replay == ReplayEnforce && !f.claims.expiration:
		return errors.New("jwt.verify_expiration is false, but a message that never expires can be replayed: " +
			"leave it out, or set management_replay to off")
	}
	return nil
}

// NewVerifier makes a verifier of a file; its errors are those of Check. now is the time that all
// replicas share.
func NewVerifier(c Config, f File, used Store, now func() time.Time) (*Verifier, error) {
	if err := c.Check(f); err != nil {
		return nil, err
	}
	return &Verifier{file: f, enforce: c.Replay == ReplayEnforce, used: used, now: now}, nil
}

// A Request is a call of a peer.
type Request struct {
	Scope string // of the endpoint, such as write_users
	// Method and Path are those of the call, the path below the namespace: "/users/update". A message
	// may be bound to them by claims of these names.
	Method, Path string
	// Body is the whole body; the caller bounds its size.
	Body []byte
}

// A Message is verified.
type Message struct {
	// Signers are the ids of the permitted signers that have signed it, sorted, each once.
	Signers []string
	// ID is the claim jti, "" if there is none.
	ID string
	// Data is the claim data, a JSON object: {} if the claim is missing or is no object.
	Data json.RawMessage

	verifier *Verifier
	general  token.General
}

// String keeps the data out of logs and errors.
func (m Message) String() string {
	return fmt.Sprintf("message %.64q of %s", m.ID, strings.Join(m.Signers, ", "))
}

// GoString keeps it out of %#v.
func (m Message) GoString() string { return m.String() }

// Verify checks a message for a scope, in this order: its form (ErrUnreadable if it is not JSON,
// ErrUnverified), the signatures of signers whom the scope permits and the keychain knows, and the claims
// (ErrUnverified); the mandatory and the number of signers (ErrSignatures); and last that it is used for the first
// time (ErrReplayed). Signatures of other signers count for nothing, right or wrong. Any other error is
// the store's. The errors that are about the message have a Reason.
func (v *Verifier) Verify(ctx context.Context, r Request) (Message, error) {
	m, err := v.verify(ctx, r)
	return m, v.counted(err)
}

func (v *Verifier) verify(ctx context.Context, r Request) (Message, error) {
	g, err := token.ParseGeneral(r.Body, MaxSignatures)
	switch {
	case errors.Is(err, token.ErrNotJSON):
		return Message{}, refusal{ErrUnreadable, reasonForm, ""}
	case err != nil:
		return Message{}, refused(reasonForm, "%v", err)
	}
	for _, s := range g.Signatures {
		if s.Kid == "" || s.Fault != "" {
			return Message{}, refused(reasonForm, "a signature of %.64q cannot be used: %s", s.Kid, s.Fault)
		}
	}
	signers, err := v.signers(r.Scope, g)
	if err != nil {
		return Message{}, err
	}
	claims, ok := g.Object()
	if !ok {
		return Message{}, refused(reasonForm, "the payload is no JSON object that names each member once")
	}
	now := v.now()
	c, fault := v.file.claims.check(claims, v.enforce, now)
	switch {
	case fault == expired:
		return Message{}, refused(reasonExpired, "%s", fault)
	case fault != "":
		return Message{}, refused(reasonClaims, "%s", fault)
	}
	if fault := bound(claims, r); fault != "" {
		return Message{}, refused(reasonBinding, "%s", fault)
	}
	if err := v.file.scopes[r.Scope].satisfied(r.Scope, signers); err != nil {
		return Message{}, err
	}
	if v.enforce {
		// The payload holds the id, so that a change of it needs every signature anew: the id alone
		// stands for both, and refuses another payload of that id too.
		first, err := v.used.ClaimMessage(ctx, sha256.Sum256([]byte(c.id)),
			c.expires.Add(v.file.claims.expLeeway+afterlife))
		if err != nil {
			return Message{}, fmt.Errorf("claim message: %w", err)
		}
		if !first {
			return Message{}, refusal{ErrReplayed, reasonReplayed, fmt.Sprintf("jti %.64q of %s", c.id, strings.Join(signers, ", "))}
		}
	}
	return Message{Signers: signers, ID: c.id, Data: data(claims), verifier: v, general: g}, nil
}

// Allows reports whether the signatures of a verified message satisfy another scope too; the errors are
// those of Verify. It uses nothing up.
func (m Message) Allows(scope string) error {
	if m.verifier == nil {
		return refused(reasonForm, "there is no message")
	}
	signers, err := m.verifier.signers(scope, m.general)
	if err == nil {
		err = m.verifier.file.scopes[scope].satisfied(scope, signers)
	}
	return m.verifier.counted(err)
}

// Fault is the reason against a message that is for another service, "" for none: it must be a JWS in general
// JSON serialization, and each signature of a signer whom the keychain knows must be right. Other signatures count
// for nothing. The text holds nothing of the message but the names of known signers.
func (v *Verifier) Fault(body []byte) string {
	g, err := token.ParseGeneral(body, MaxSignatures)
	if err != nil {
		return "it is no JWS in general JSON serialization of at most " + strconv.Itoa(MaxSignatures) + " signatures"
	}
	for _, s := range g.Signatures {
		key, known := v.file.keychain[s.Kid]
		if !known {
			continue
		}
		if fault := key.Fault(g, s); fault != "" {
			return "the signature of " + s.Kid + " cannot be verified"
		}
	}
	return ""
}

// Trusts reports whether the signatures of the named services would satisfy every one of the scopes now.
func (v *Verifier) Trusts(names []string, scopes ...string) bool {
	for _, name := range scopes {
		sc, ok := v.file.scopes[name]
		var signers []string
		for _, s := range slices.Compact(slices.Sorted(slices.Values(names))) {
			if _, known := v.file.keychain[s]; known && slices.Contains(sc.permitted, s) {
				signers = append(signers, s)
			}
		}
		if !ok || sc.satisfied(name, signers) != nil || len(signers) == 0 {
			return false
		}
	}
	return len(scopes) > 0
}

// signers lists the permitted signers of a scope that have signed. One wrong signature of such a
// signer refuses the message.
func (v *Verifier) signers(scope string, g token.General) (list []string, err error) {
	sc, ok := v.file.scopes[scope]
	if !ok {
		return nil, refused(reasonScope, "scope %s is not configured", scope)
	}
	for _, s := range g.Signatures {
		key, known := v.file.keychain[s.Kid]
		if !known || !slices.Contains(sc.permitted, s.Kid) {
			continue
		}
		if fault := key.Fault(g, s); fault != "" {
			return nil, refused(reasonSignature, "the signature of %s: %s", s.Kid, fault)
		}
		list = append(list, s.Kid)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// satisfied reports whether signers, each there once, are enough for the scope.
func (s scope) satisfied(name string, signers []string) error {
	for _, m := range s.mandatory {
		if !slices.Contains(signers, m) {
			return refusal{ErrSignatures, reasonSigners, fmt.Sprintf("scope %s needs %s", name, m)}
		}
	}
	if len(signers) < s.min {
		return refusal{ErrSignatures, reasonSigners, fmt.Sprintf("scope %s needs %d signers, got %d", name, s.min, len(signers))}
	}
	return nil
}
