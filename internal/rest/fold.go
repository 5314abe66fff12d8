package rest

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"barong/internal/logfold"
)

// A lineKind is the common part of folded lines: the message, the answer, and of a refusal the
// caller by network and account. An outage or a fault says the same about everybody.
type lineKind struct {
	message, error, reason, uid string
	ip                          netip.Addr // its network
	status                      int
	left                        bool // the caller did not wait for the answer
}

// beyond is the kind that a new one counts as when too many are open.
func (k lineKind) beyond() lineKind {
	return lineKind{message: k.message, status: k.status, left: k.left}
}

// lines is the log of refusals, outages and faults, of which a flood comes at once.
type lines struct {
	log    *slog.Logger
	folded logfold.Shared[lineKind, slog.Record]
}

func (l *lines) start(log *slog.Logger) {
	l.log = log
	l.folded.Folder.Write, l.folded.Folder.Beyond = l.put, lineKind.beyond
}

// write logs a line now, or once it is its turn.
func (l *lines) write(kind lineKind, burst int, level slog.Level, attrs ...slog.Attr) {
	line := slog.NewRecord(time.Now(), level, kind.message, 0)
	line.AddAttrs(attrs...)
	l.folded.Add(kind, burst, line)
}

// put writes a line that stands for so many others, too.
func (l *lines) put(line slog.Record, folded int) {
	if folded > 0 {
		line.AddAttrs(slog.Int("folded", folded))
	}
	ctx := context.Background() // the request may be over
	if h := l.log.Handler(); h.Enabled(ctx, line.Level) {
		_ = h.Handle(ctx, line) // where would its error be written?
	}
}

// Flush writes the lines that wait for others of their kind. Call it when nothing is served any
// more; while requests come it is done each second.
func (s *Server) Flush() { s.lines.folded.Flush() }

func addressText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
