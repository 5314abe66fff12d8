package authz

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/logfold"
)

// DecisionLog writes one line for every denial and for one of so many allows. Writing is
// done by one goroutine (Run) behind a bounded queue: a decision never waits for a disk,
// and when lines come faster than they can be written they are dropped and counted.
//
// Floods are folded, so that no client fills a disk: of outages, which say the same about
// everybody, one line a second is written for each reason; of denials five for each reason,
// address and account, and then one a second. "folded" counts the lines that one stands for
// beside itself.
//
// A line names the caller, the address, the request and the reason. It never holds a query, a
// body, a cookie, a signature or a token.
type DecisionLog struct {
	to      io.Writer
	out     *bufio.Writer // over to
	handler slog.Handler
	sample  uint64
	queue   chan *decisionLine
	lines   sync.Pool
	allowed atomic.Uint64
	ids     decisionIDs
	dropped func()
	folds   logfold.Folder[lineKind, *decisionLine] // of Run alone
}

// decisionLine is the content of one line. Its strings are its own or live as long as the
// account that they belong to.
type decisionLine struct {
	at                                    time.Time
	duration                              time.Duration
	id, requestID, method, path, kid, via string
	uid, role, reason                     string
	cause                                 error
	status                                int
	snapshot, restriction                 int64 // restriction: the row that refused, 0 for none
	ip                                    netip.Addr
	ended                                 bool // the decision ended the session
}

// Longest key id, request id and path that are written.
const (
	maxLoggedKid  = 64
	maxLoggedID   = 128
	maxLoggedPath = 1024
)

// NewDecisionLog returns a log that writes to out through the handler that newHandler makes
// of the buffer it is given (for example slog.NewJSONHandler). One of sample allows is
// logged, 0 logs none. depth lines may wait; 0 means 8192. dropped, if not nil, is called
// for every line that is lost and must not block. Call Run to have anything written.
func NewDecisionLog(
	out io.Writer, newHandler func(io.Writer) slog.Handler, sample, depth int, dropped func(),
) *DecisionLog {
	if depth <= 0 {
		depth = 8192
	}
	l := &DecisionLog{
		to:      out,
		out:     bufio.NewWriterSize(out, 64<<10),
		sample:  uint64(max(sample, 0)),
		queue:   make(chan *decisionLine, depth),
		dropped: dropped,
	}
	l.handler = newHandler(wholeLines{l.out})
	l.lines.New = func() any { return new(decisionLine) }
	l.folds.Write, l.folds.Drop, l.folds.Beyond = l.write, l.free, lineKind.beyond
	l.ids.start()
	return l
}

// wholeLines hands on no part of a line: others write to the same stream in between.
type wholeLines struct{ *bufio.Writer }

func (w wholeLines) Write(line []byte) (int, error) {
	if len(line) > w.Available() {
		if err := w.Flush(); err != nil {
			return 0, err
		}
	}
	return w.Writer.Write(line)
}

// Run writes lines until ctx ends, and then those that still wait.
func (l *DecisionLog) Run(ctx context.Context) error {
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case line := <-l.queue:
			l.take(line)
		case <-due.C:
			l.folds.Due(time.Now())
		case <-ctx.Done():
			for {
				select {
				case line := <-l.queue:
					l.take(line)
				default:
					l.folds.Rest()
					return l.out.Flush()
				}
			}
		}
		if len(l.queue) == 0 {
			l.flush()
		}
		if wait, some := l.folds.Next(time.Now()); some {
			due.Reset(wait)
		}
	}
}

// take writes a line, or folds it.
func (l *DecisionLog) take(line *decisionLine) {
	if line.reason == "" {
		l.write(line, 0) // an allow: those are sampled
		return
	}
	kind, burst := line.kind()
	l.folds.Add(kind, burst, line, line.at.Add(line.duration))
}

// A lineKind is the common part of folded lines. An outage says the same about everybody; with
// the account, nobody's denials go under in those of a neighbour behind the same address.
type lineKind struct {
	reason, uid string
	ip          netip.Addr // its network
	outage      bool
}

// kind is where a line belongs, and how many of it are written at once.
func (line *decisionLine) kind() (kind lineKind, burst int) {
	if line.cause != nil {
		return lineKind{reason: line.reason, outage: true}, logfold.Outages
	}
	return lineKind{reason: line.reason, uid: line.uid, ip: logfold.Network(line.ip)}, logfold.Refusals
}

// beyond is the kind that a new one counts as when too many are open.
func (k lineKind) beyond() lineKind { return lineKind{reason: k.reason, outage: k.outage} }

// free gives a line back.
func (l *DecisionLog) free(line *decisionLine) {
	*line = decisionLine{}
	l.lines.Put(line)
}

// flush writes the buffer. A buffer that failed once would refuse everything after, so it
// starts afresh and loses its content.
func (l *DecisionLog) flush() {
	if l.out.Flush() != nil {
		l.drop()
		l.out.Reset(l.to)
	}
}

// decisionIDs gives names to decisions that someone will read. They differ within a process
// and, by their random start, between processes.
type decisionIDs struct{ last atomic.Uint64 }

// start chooses where to begin.
func (n *decisionIDs) start() {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	n.last.Store(binary.BigEndian.Uint64(b[:]))
}

// next is 16 lower-case hex digits.
func (n *decisionIDs) next() string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i, v := len(b)-1, n.last.Add(1); i >= 0; i, v = i-1, v>>4 {
		b[i] = digits[v&15]
	}
	return string(b[:])
}

// decided queues the line of a decision, if it gets one.
func (l *DecisionLog) decided(r *request, d *decision, at time.Time, took time.Duration) {
	if l == nil {
		return
	}
	if d.allowed() && (l.sample == 0 || l.allowed.Add(1)%l.sample != 0) {
		return
	}
	if len(l.queue) == cap(l.queue) {
		l.drop()
		return
	}
	if d.id == "" {
		d.id = l.ids.next()
	}
	line := l.lines.Get().(*decisionLine)
	*line = decisionLine{
		at: at, duration: took, id: d.id, kid: d.kid, via: d.via.String(), reason: d.reason,
		cause: d.cause, status: d.status, snapshot: d.snapshot, ip: r.ip,
	}
	line.method, line.path, line.requestID = ownStrings(r)
	line.uid, line.ended, line.restriction = d.uid, d.ended, d.restriction
	if d.who != nil {
		line.uid, line.role = d.who.UID, d.who.Role
	}
	if d.kid == "" && d.via == viaAPIKey {
		// Nobody's key: the header as sent, which is no secret.
		line.kid = strings.Clone(r.apiKey[:min(len(r.apiKey), maxLoggedKid)])
	}
	select {
	case l.queue <- line:
	default:
		l.lines.Put(line)
		l.drop()
	}
}

func (l *DecisionLog) drop() {
	if l.dropped != nil {
		l.dropped()
	}
}

// ownStrings copies those strings of the question that a line keeps, in one allocation. A
// question that was refused before it was parsed has no canonical path: then path is the
// target as sent, without its query.
func ownStrings(r *request) (method, path, requestID string) {
	path = r.path
	if path == "" {
		path = r.target
		if i := strings.IndexAny(path, "?#"); i >= 0 {
			path = path[:i]
		}
	}
	m, p := min(len(r.method), maxLoggedID), min(len(path), maxLoggedPath)
	var b strings.Builder
	b.Grow(m + p + maxLoggedID)
	b.WriteString(r.method[:m])
	b.WriteString(path[:p])
	b.WriteString(r.requestID[:min(len(r.requestID), maxLoggedID)])
	all := b.String()
	return all[:m], all[m : m+p], all[m+p:]
}

// write writes a line that stands for so many others, too.
func (l *DecisionLog) write(line *decisionLine, folded int) {
	level := slog.LevelInfo
	if line.cause != nil {
		level = slog.LevelError
	}
	ctx := context.Background()
	if l.handler.Enabled(ctx, level) {
		rec := slog.NewRecord(line.at, level, "decision", 0)
		rec.AddAttrs(
			slog.String("decision", line.id),
			slog.Int("status", line.status),
			slog.String("reason", line.reason),
			slog.String("method", line.method),
			slog.String("path", line.path),
			slog.String("ip", addrText(line.ip)),
			slog.String("uid", line.uid),
			slog.String("role", line.role),
			slog.String("credential", line.via),
			slog.String("kid", line.kid),
			slog.String("request_id", line.requestID),
			slog.Int64("snapshot", line.snapshot),
			slog.Duration("took", line.duration),
		)
		if line.cause != nil {
			rec.AddAttrs(slog.String("cause", line.cause.Error()))
		}
		if line.restriction != 0 {
			rec.AddAttrs(slog.Int64("restriction", line.restriction))
		}
		if line.ended {
			rec.AddAttrs(slog.Bool("session_ended", true))
		}
		if folded > 0 {
			rec.AddAttrs(slog.Int("folded", folded))
		}
		if l.handler.Handle(ctx, rec) != nil {
			l.flush()
		}
	}
	l.free(line)
}

// addrText is "" for the zero address.
func addrText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
