package feed

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// A Name is a random name of a commit. Numbers are given again when a database goes back,
// after a failover to a standby that lacks the last commits or from a backup; names are not.
// Zero is the name of the beginning, and of commits that were written without one.
type Name [16]byte

// NewName makes up a name.
func NewName() Name {
	var n Name
	_, _ = rand.Read(n[:]) // never fails
	return n
}

// String is the name in hex.
func (n Name) String() string { return hex.EncodeToString(n[:]) }

// A Cursor is a place in one history: a commit by number and name. Two places are the same
// commit only if both are equal; that one number is above another says nothing by itself.
type Cursor struct {
	Seq  int64
	Name Name
	// Server is the start of the server process from which the cursor was read, in
	// microseconds of its clock: no two have the same. 0 where the database is a file of this
	// process, and for cursors that were not read.
	Server int64
}

// Same reports whether both are the same commit.
func (c Cursor) Same(d Cursor) bool { return c.Seq == d.Seq && c.Name == d.Name }

// String is number and name, "17-" and 32 hex digits.
func (c Cursor) String() string { return strconv.FormatInt(c.Seq, 10) + "-" + c.Name.String() }

// LogValue implements slog.LogValuer.
func (c Cursor) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Int64("seq", c.Seq), slog.String("name", c.Name.String())}
	if c.Server != 0 {
		attrs = append(attrs, slog.Time("server_started", time.UnixMicro(c.Server).UTC()))
	}
	return slog.GroupValue(attrs...)
}

var errCursor = errors.New("feed: not a cursor")

// ParseCursor is the inverse of String.
func ParseCursor(text string) (c Cursor, err error) {
	number, name, ok := strings.Cut(text, "-")
	if c.Seq, err = strconv.ParseInt(number, 10, 64); !ok || err != nil || c.Seq < 0 || len(name) != 2*len(c.Name) {
		return Cursor{}, errCursor
	}
	if _, err := hex.Decode(c.Name[:], []byte(name)); err != nil || c.String() != text {
		return Cursor{}, errCursor
	}
	return c, nil
}
