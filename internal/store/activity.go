package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"barong/internal/audit"
)

// AddActivities implements audit.Store.
func (q queries) AddActivities(ctx context.Context, rows []audit.Entry) error {
	if len(rows) == 0 {
		return nil
	}
	return q.write(ctx, "add activities", func(t *txn) error {
		known, err := t.knownUsers(ctx, rows)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(rows, 100) {
			if err := t.addActivities(ctx, part, known); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddActivity implements account.Tx.
func (q queries) AddActivity(ctx context.Context, a audit.Activity) error {
	var ref [16]byte
	rand.Read(ref[:]) // never fails
	return q.AddActivities(ctx, []audit.Entry{{Ref: hex.EncodeToString(ref[:]), Activity: a}})
}

// DeleteActivities removes those that are older than keep by the database's clock, the oldest
// first and at most so many at a call that others get their turn, and returns how many. Several
// replicas may do it at once.
func (q queries) DeleteActivities(ctx context.Context, keep time.Duration) (int, error) {
	now, err := q.clock(ctx)
	if err != nil {
		return 0, fmt.Errorf("delete old activities: %w", err)
	}
	total := 0
	for range 20 {
		n, err := q.run(ctx, "delete old activities", `
			DELETE FROM activities
			WHERE id IN (SELECT id FROM activities WHERE created_at < $1 ORDER BY created_at, id LIMIT $2)`,
			now.Add(-keep).UnixMicro(), part)
		if total += int(n); err != nil || n < part {
			return total, err
		}
	}
	return total, nil
}

// SignedInBefore implements account.Tx.
func (q queries) SignedInBefore(ctx context.Context, uid string) (bool, error) {
	return q.has(ctx, "look for a sign-in", `
		SELECT 1 FROM activities
		WHERE actor_uid = $1 AND result = 'succeed'
		  AND (topic = 'session' AND action IN ('`+strings.Join(signInActions, "', '")+`')
		       OR topic = 'account' AND action = 'signup')
		LIMIT 1`, uid)
}

func (t *txn) addActivities(ctx context.Context, rows []audit.Entry, known map[string]bool) error {
	var values []string
	var args []any
	for _, r := range rows {
		data, target := r.Data, r.TargetUID
		if target != "" && !known[target] {
			data, target = withMember(data, "target_uid", target), ""
		}
		if r.CreatedAt.IsZero() {
			r.CreatedAt = t.now
		}
		n := len(args)
		args = append(args, r.Ref, textOrNull(cut(r.ActorUID)), cut(r.ActorKind), cut(r.ActorRef),
			textOrNull(cut(target)), cut(r.Category), cut(r.IP), cut(r.IPCountry), cut(r.UserAgent),
			cut(r.Topic), cut(r.Action), cut(r.Result), textOrNull(cutData(data)),
			r.CreatedAt.UTC().Format(time.DateOnly), r.CreatedAt.UnixMicro())
		var marks []string
		for i := n + 1; i <= len(args); i++ {
			marks = append(marks, fmt.Sprintf("$%d", i))
		}
		values = append(values, "("+strings.Join(marks, ", ")+")")
	}
	return t.exec(ctx, `
		INSERT INTO activities (ref, actor_uid, actor_kind, actor_ref, target_uid, category, ip,
		                        ip_country, user_agent, topic, action, result, data, day, created_at)
		VALUES `+strings.Join(values, ", ")+`
		ON CONFLICT (ref) DO NOTHING`, args...)
}

// knownUsers returns which targets of the rows are uids of users.
func (t *txn) knownUsers(ctx context.Context, rows []audit.Entry) (map[string]bool, error) {
	targets := map[string]bool{}
	for _, r := range rows {
		// A text that no column can hold is no uid either, and some engines refuse to look.
		if r.TargetUID != "" && clean(r.TargetUID) == r.TargetUID {
			targets[r.TargetUID] = false
		}
	}
	for part := range slices.Chunk(slices.Collect(maps.Keys(targets)), 200) {
		marks, args := inList(part)
		uids, err := list(ctx, t, value[string], `SELECT uid FROM users WHERE uid IN `+marks, args...)
		if err != nil {
			return nil, err
		}
		for _, uid := range uids {
			targets[uid] = true
		}
	}
	return targets, nil
}

const (
	widest     = 255   // characters of a text column
	widestData = 65535 // characters of data
)

// clean makes s storable as text on every engine: valid UTF-8 without NUL.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// cut shortens s to the width of its column; a cut value ends in an ellipsis (FX-33).
func cut(s string) string {
	s = clean(s)
	if len(s) <= widest || utf8.RuneCountInString(s) <= widest {
		return s
	}
	return string([]rune(s)[:widest-1]) + "…"
}

// cutData keeps data JSON: too much of it is replaced, not shortened.
func cutData(s string) string {
	s = clean(s)
	if len(s) <= widestData || utf8.RuneCountInString(s) <= widestData {
		return s
	}
	return `{"truncated":true}`
}

// withMember adds a member to a JSON object; text that is none becomes its member "data".
func withMember(data, name, value string) string {
	members := map[string]any{}
	if data != "" {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(data), &object) == nil {
			for k, v := range object {
				members[k] = v
			}
		} else {
			members["data"] = data
		}
	}
	members[name] = value
	b, err := json.Marshal(members)
	if err != nil { // a map of strings and valid JSON always marshals
		return data
	}
	return string(b)
}

var activities = noun[audit.Activity]{
	columns: `a.id, COALESCE(a.actor_uid, ''), a.actor_kind, a.actor_ref, COALESCE(a.target_uid, ''),
	       a.category, a.ip, a.ip_country, a.user_agent, a.topic, a.action, a.result,
	       COALESCE(a.data, ''), a.created_at`,
	from: `activities a`,
	into: func(a *audit.Activity) []any {
		return []any{
			&a.ID, &a.ActorUID, &a.ActorKind, &a.ActorRef, &a.TargetUID,
			&a.Category, &a.IP, &a.IPCountry, &a.UserAgent, &a.Topic, &a.Action, &a.Result,
			&a.Data, at(&a.CreatedAt),
		}
	},
}

// Activities implements audit.Store: newest first by CreatedAt, From included, To not. A
// Limit of 0 is none.
func (q queries) Activities(ctx context.Context, query audit.Query) ([]audit.Activity, int, error) {
	var f filter
	f.match("a.actor_uid", query.ActorUID)
	f.match("a.target_uid", query.TargetUID)
	f.match("a.category", query.Category)
	f.match("a.topic", query.Topic)
	f.match("a.action", query.Action)
	f.match("a.result", query.Result)
	f.between("a.created_at", query.From, query.To)
	return q.activities(ctx, "list activities", f, query.Limit, query.Offset)
}

// activities returns a page of those that match, newest first, and the number of all.
func (q queries) activities(ctx context.Context, doing string, f filter, limit, offset int) (all []audit.Activity, total int, err error) {
	err = q.together(ctx, doing, func(q querier) error {
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM activities a`+f.where(), f.args...).Scan(&total)
		if err != nil || offset >= total {
			return err
		}
		rest, args := activityPage(f, limit, offset, total)
		all, err = activities.list(ctx, q, rest, args...)
		return err
	})
	return all, total, err
}

// activityPage is the part of a query after FROM that takes one page of total rows, newest first. It
// skips in the index alone, from the nearer end.
func activityPage(f filter, limit, offset, total int) (rest string, args []any) {
	const newestFirst, oldestFirst = ` ORDER BY a.created_at DESC, a.id DESC`, ` ORDER BY a.created_at, a.id`
	size := total - offset
	if limit > 0 {
		size = min(size, limit)
	}
	order, skip := newestFirst, offset
	if behind := total - offset - size; behind < offset {
		order, skip = oldestFirst, behind
	}
	page, args := f.page(size, skip)
	return `JOIN (SELECT a.id FROM activities a` + f.where() + order + page + `) page ON page.id = a.id` + newestFirst, args
}
