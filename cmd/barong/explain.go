package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"barong/admin"
	"barong/authz"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/configured"
	"barong/internal/store"
	"barong/internal/token"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/editor"
)

// explainer puts authz's explanations into admin's words: edges do not know each other.
func explainer(s *authz.Server) admin.Explainer {
	return func(ctx context.Context, q admin.ExplainRequest) (view.Explanation, error) {
		e, err := s.Explain(ctx, authz.ExplainRequest(q))
		if err != nil {
			return view.Explanation{}, err
		}
		out := view.Explanation{
			Allowed: e.Allowed, Status: e.Status, Reason: e.Reason, Outage: e.Outage, PolicyVersion: e.Snapshot,
			Path: e.Path, UID: e.UID, Role: e.Role, Token: e.Bearer, Steps: make([]view.ExplainedStep, 0, len(e.Steps)),
		}
		for _, x := range e.Steps {
			out.Steps = append(out.Steps, view.ExplainedStep(x))
		}
		return out, nil
	}
}

type explainCmd struct {
	Method    string `arg:"" help:"Method of the request."`
	Path      string `arg:"" help:"Path and query of the request."`
	UID       string `name:"uid" help:"Ask with a session that this user has just opened." xor:"who"`
	Email     string `name:"email" help:"Ask with a session that the user with this e-mail address has just opened." xor:"who"`
	Kid       string `name:"kid" help:"Ask with a request that this API key has just signed." xor:"who"`
	IP        string `name:"ip" default:"127.0.0.1" help:"The client's address."`
	UserAgent string `name:"user-agent" help:"The client's User-Agent."`
	Format    string `enum:"text,json" default:"text" help:"text or json."`
}

// Run decides as the service does that has the database open, or over the database as it is now.
func (c explainCmd) Run(ctx context.Context, term *terminal) error {
	if _, err := netip.ParseAddr(c.IP); err != nil {
		return usageError{fmt.Errorf("explain: --ip: %w", err)}
	}
	return operate(ctx, term, c)
}

func (c explainCmd) operate(ctx context.Context, term *terminal, on opened) error {
	ip, err := netip.ParseAddr(c.IP)
	if err != nil {
		return err
	}
	if err := c.identify(ctx, on.db); err != nil {
		return err
	}
	sv := on.service
	if sv == nil {
		if sv, err = on.decider(ctx); err != nil {
			return err
		}
	}
	e, err := explainer(sv.decider)(ctx, admin.ExplainRequest{
		Method: c.Method, Target: c.Path, UID: c.UID, Kid: c.Kid, IP: ip, UserAgent: c.UserAgent,
	})
	if err != nil {
		return err
	}
	e.Permissions = view.PermissionsOf(nil)
	if e.Role != "" && e.Path != "" {
		rows, err := editor.NewService(on.db, sv.holder, 1, nil).MatchingPermissions(ctx, e.Role, c.Method, e.Path)
		if err != nil {
			return err
		}
		e.Permissions = view.PermissionsOf(rows)
		namePermission(&e, c.Method, rows)
	}
	return c.print(term, e)
}

// namePermission has a refusal by permissions name the row that refuses, or say that there is none that
// accepts.
func namePermission(e *view.Explanation, method string, rows []policy.Permission) {
	i := slices.IndexFunc(e.Steps, func(s view.ExplainedStep) bool { return s.Rule == "permission" && s.Outcome == "deny" })
	if i < 0 {
		return
	}
	e.Steps[i].Detail = fmt.Sprintf("role %s: no ACCEPT row covers %s %s", e.Role, method, e.Path)
	if drop := slices.IndexFunc(rows, func(p policy.Permission) bool { return strings.EqualFold(p.Action, policy.Drop) }); drop >= 0 {
		p := rows[drop]
		e.Steps[i].Detail = fmt.Sprintf("role %s: DROP by row %d, %s %s", e.Role, p.ID, p.Verb, p.Path)
	}
}

// identify finds the user or the API key of the question: a refusal of a credential that nobody can
// have would look like an answer about them.
func (c *explainCmd) identify(ctx context.Context, db *store.DB) error {
	switch {
	case c.UID != "" || c.Email != "":
		u, err := whom{c.UID, c.Email}.find(ctx, db)
		c.UID = u.UID
		return err
	case c.Kid != "":
		if _, err := db.KeyRecord(ctx, c.Kid); errors.Is(err, apikey.ErrNoKey) {
			return fmt.Errorf("no API key has the kid %q", c.Kid)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// decider makes of a service no more than a decision on one request needs.
func (on opened) decider(ctx context.Context) (*service, error) {
	s := on.settings
	sv := &service{settings: s, log: slog.New(slog.DiscardHandler), db: on.db, truth: on.db}
	if err := sv.openPolicy(ctx, on.files); err != nil {
		return nil, err
	}
	if err := sv.openCaches(ctx, configured.Sessions(s), on.db); err != nil {
		return nil, err
	}
	var err error
	sv.decider, err = authz.New(authz.Parts{
		Rules: sv.holder, Feed: always{}, Sessions: sv.sessions,
		Accounts: sv.directory, Keys: sv.apiKeyOf,
		Tokens: always{}, Nonces: on.db, Activities: always{},
	}, configured.Decisions(s))
	if err != nil {
		return nil, usageError{err}
	}
	return sv, nil
}

func (c explainCmd) print(term *terminal, e view.Explanation) error {
	if c.Format == "json" {
		text, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "%s\n", text)
		return err
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	for _, x := range e.Steps {
		fmt.Fprintf(w, "%s\t%s\t%s\n", x.Rule, x.Outcome, x.Detail)
	}
	for _, p := range e.Permissions {
		fmt.Fprintf(w, "  row %d\t%s\t%s %s %s\n", p.ID, p.Action, p.Role, p.Verb, p.Path)
	}
	if e.Allowed {
		fmt.Fprintf(w, "allowed\t%d\tpolicy %d\n", e.Status, e.PolicyVersion)
	} else {
		fmt.Fprintf(w, "denied\t%d\t%s, policy %d\n", e.Status, e.Reason, e.PolicyVersion)
	}
	return w.Flush()
}

// always stands for parts that a single question over the database does not need: a feed that
// was just read, tokens that nobody gets, activities that nobody keeps.
type always struct{}

func (always) Age(time.Time) time.Duration { return 0 }
func (always) Reuse(*token.Slot, string, int64, time.Time) (bearer string, ok bool) {
	return "Bearer", true
}
func (always) Mint(*token.Slot, int64, token.Claims, time.Time) (string, error) { return "Bearer", nil }
func (always) Record(audit.Activity) bool                                       { return true }
func (always) Fold(string, string) bool                                         { return true }
