package secret

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

var (
	// ErrBusy says that all workers are taken and the queue is full; the request should be
	// repeated later, with the same password.
	ErrBusy = errors.New("secret: too many password hashes in flight")
	// ErrDigest says that a stored digest is in no known format. The account cannot sign in
	// until its password is reset.
	ErrDigest = errors.New("secret: unknown password digest")
)

// Parameters of new digests (OWASP's second choice for argon2id: 19 MiB, two passes).
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// Bounds on the parameters of stored digests: a row must not be able to take all memory or
// minutes of a core.
const (
	argonMaxMemory  = 256 << 10 // KiB
	argonMaxTime    = 16
	argonMaxThreads = 16
	argonMinSalt    = 8
	argonMaxSalt    = 64
	argonMinKey     = 16
	argonMaxKey     = 64
	bcryptMaxCost   = 15
	bcryptMaxLength = 72 // bytes of password that bcrypt looks at
	bcryptAlphabet  = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// A Hasher hashes and matches passwords, at most so many at a time: each takes 19 MiB and
// tens of milliseconds of a core, and sign-ins must not starve decisions. The caller waits;
// there is nothing to close. Waiting callers get their turn by network and account (For). It is
// safe for concurrent use.
type Hasher struct {
	queue *queue
	dummy phc
	aside *aside // nil: in the caller's goroutine
}

// NewHasher makes one with the given number of workers (at least one) and places to wait.
func NewHasher(workers, queue int) *Hasher {
	return &Hasher{
		queue: newQueue(workers, queue),
		dummy: phc{
			memory: argonMemory, time: argonTime, threads: argonThreads,
			salt: Bytes(argonSalt), key: Bytes(argonKey),
		},
	}
}

// GiveWay makes hashing yield to everything else in the process, for servers that answer
// other requests meanwhile; it returns h, and comes before any use of it. While passwords are
// hashed, and for some seconds after, GOMAXPROCS is higher by the number of workers, and on
// Linux their threads have a lower priority.
func (h *Hasher) GiveWay() *Hasher {
	h.aside = &aside{processors: h.queue.workers, linger: spareFor}
	return h
}

// Pending is how many calls are running or waiting, for metrics.
func (h *Hasher) Pending() int { return h.queue.pending() }

// Hash makes a digest of a password: argon2id with a random salt, as a PHC string. It
// returns ErrBusy when the queue is full, ErrCrowded when it is full of the caller's own, and the
// context's error when it ends before the work begins; work that has begun is not interrupted.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.queue.acquire(ctx)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	defer release()
	d := phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: Bytes(argonSalt)}
	h.aside.run(func() { d.key = d.derive(password, argonKey) })
	return d.String(), nil
}

// Match compares a password with a digest in constant time. A digest is an argon2id PHC
// string, or bcrypt ($2a$, $2b$, $2y$) from an import; rehash says that the password is right
// and the digest should be replaced by a new Hash of it. Bcrypt reads 72 bytes only, so a
// longer password never matches it.
//
// An empty digest means that there is no such account: the same work is done and the answer
// is false, so that the time reveals nothing. Errors are ErrBusy, ErrCrowded, the context's, and ErrDigest
// for a digest in no known format (after the same work).
func (h *Hasher) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	release, err := h.queue.acquire(ctx)
	if err != nil {
		return false, false, fmt.Errorf("match password: %w", err)
	}
	defer release()
	if IsBcrypt(digest) {
		h.aside.run(func() { ok = matchBcrypt(digest, password) })
		return ok, ok, nil
	}
	d, known := parsePHC(digest)
	if !known {
		d = h.dummy
	}
	h.aside.run(func() { ok = subtle.ConstantTimeCompare(d.derive(password, len(d.key)), d.key) == 1 })
	if !known {
		if digest == "" {
			return false, false, nil
		}
		return false, false, fmt.Errorf("match password: %w", ErrDigest)
	}
	return ok, ok && d.outdated(), nil
}

// phc is a parsed argon2id digest.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (d phc) derive(password string, size int) []byte {
	return argon2.IDKey([]byte(password), d.salt, d.time, d.memory, d.threads, uint32(size))
}

func (d phc) outdated() bool {
	return d.memory != argonMemory || d.time != argonTime || d.threads != argonThreads ||
		len(d.key) != argonKey || len(d.salt) < argonSalt
}

func (d phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, d.memory, d.time, d.threads,
		base64.RawStdEncoding.EncodeToString(d.salt), base64.RawStdEncoding.EncodeToString(d.key))
}

// parsePHC reads "$argon2id$v=19$m=19456,t=2,p=1$salt$key" and nothing looser: numbers
// without sign or leading zero, unpadded base64, parameters within the bounds above.
func parsePHC(digest string) (phc, bool) {
	parts := strings.Split(digest, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" ||
		parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, false
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return phc{}, false
	}
	memory, ok1 := phcNumber(params[0], "m=", argonMaxMemory)
	time, ok2 := phcNumber(params[1], "t=", argonMaxTime)
	threads, ok3 := phcNumber(params[2], "p=", argonMaxThreads)
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil || strings.ContainsAny(digest, "\r\n") ||
		memory < 8*threads || // RFC 9106 §3.1
		len(salt) < argonMinSalt || len(salt) > argonMaxSalt ||
		len(key) < argonMinKey || len(key) > argonMaxKey {
		return phc{}, false
	}
	return phc{memory: memory, time: time, threads: uint8(threads), salt: salt, key: key}, true
}

func phcNumber(s, prefix string, most uint32) (uint32, bool) {
	s, ok := strings.CutPrefix(s, prefix)
	if !ok || s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && uint32(n) <= most
}

// IsBcrypt reports whether a text is a digest of bcrypt that Match reads. It accepts the three prefixes
// that mean the same correct algorithm, and costs that do not tie up a worker for longer than a few
// seconds.
func IsBcrypt(digest string) bool {
	if len(digest) != 60 || !(strings.HasPrefix(digest, "$2a$") ||
		strings.HasPrefix(digest, "$2b$") || strings.HasPrefix(digest, "$2y$")) {
		return false
	}
	cost, err := bcrypt.Cost([]byte(digest))
	return err == nil && cost <= bcryptMaxCost && strings.Trim(digest[len("$2a$04$"):], bcryptAlphabet) == ""
}

func matchBcrypt(digest, password string) bool {
	short := len(password) <= bcryptMaxLength
	if !short {
		password = password[:bcryptMaxLength]
	}
	return bcrypt.CompareHashAndPassword([]byte(digest), []byte(password)) == nil && short
}
