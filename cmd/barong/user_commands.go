package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/roster"
	"barong/internal/store"
	"barong/internal/view"
)

// whom names one user.
type whom struct {
	UID   string `name:"uid" xor:"whom" required:"" placeholder:"UID" help:"The user with this uid."`
	Email string `name:"email" xor:"whom" required:"" placeholder:"ADDRESS" help:"The user with this e-mail address."`
}

// find loads the user that w names.
func (w whom) find(ctx context.Context, db *store.DB) (account.User, error) {
	if (w.UID == "") == (w.Email == "") { // --uid ""
		return account.User{}, usageError{errors.New("which user? give --uid or --email")}
	}
	if w.UID != "" {
		u, err := db.User(ctx, w.UID)
		return u, noUser(err, "uid", w.UID)
	}
	u, err := db.UserByEmail(ctx, account.FoldEmail(w.Email))
	return u, noUser(err, "e-mail address", w.Email)
}

// noUser says by which name nobody was found.
func noUser(err error, field, value string) error {
	if errors.Is(err, account.ErrNoUser) {
		return fmt.Errorf("no user has the %s %q", field, value)
	}
	return err
}

type usersListCmd struct {
	Email   string `help:"Only the user with this e-mail address."`
	Role    string `help:"Only users of this role."`
	State   string `help:"Only users in this state."`
	Level   *int   `help:"Only users of this level."`
	OrderBy string `enum:"${user_orders}" default:"id" help:"Order: ${enum}."`
	Desc    bool   `help:"The other way round."`
	Limit   int    `default:"100" help:"Most users to show, 1000 at most."`
	Offset  int    `default:"0" help:"Leave out so many."`
	Format  string `enum:"text,json" default:"text" help:"text or json."`
}

// userList is a page of users, and the number of all that match.
type userList struct {
	Total int         `json:"total"`
	Users []view.User `json:"users"`
}

func (c usersListCmd) Run(ctx context.Context, term *terminal) error {
	if c.Limit < 1 || c.Limit > 1000 || c.Offset < 0 {
		return usageError{errors.New("--limit is from 1 to 1000, --offset not negative")}
	}
	return operate(ctx, term, c)
}

func (c usersListCmd) operate(ctx context.Context, term *terminal, on opened) error {
	q := roster.Query{Level: c.Level, OrderBy: c.OrderBy, Desc: c.Desc, Limit: c.Limit, Offset: c.Offset}
	for _, x := range []struct {
		value string
		into  **string
	}{{account.FoldEmail(c.Email), &q.Email}, {c.Role, &q.Role}, {c.State, &q.State}} {
		if x.value != "" {
			*x.into = &x.value
		}
	}
	users, total, err := on.db.Roster(ctx, q)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		out := userList{Total: total, Users: []view.User{}}
		for _, u := range users {
			out.Users = append(out.Users, view.UserOf(u))
		}
		return json.NewEncoder(term.out).Encode(out)
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "UID\tEMAIL\tROLE\tLEVEL\tSTATE\t2FA\tCREATED")
	for _, u := range users {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%t\t%s\n", u.UID, u.Email, u.Role, u.Level, u.State, u.OTP, u.CreatedAt.Format(time.RFC3339))
	}
	if shown := c.Offset + len(users); shown < total {
		fmt.Fprintf(w, "%d of %d; the next: --offset %d\n", len(users), total, shown)
	}
	return w.Flush()
}

type usersShowCmd struct {
	whom
	Activities int    `default:"10" help:"How many of the newest activities by or about the user to show, 100 at most."`
	Format     string `enum:"text,json" default:"text" help:"text or json."`
}

// shownUser is a user with everything that decides about their requests.
type shownUser struct {
	view.User
	StateByStaff    string          `json:"state_by_staff,omitempty"`
	Passkeys        int             `json:"passkeys"`
	Labels          []shownLabel    `json:"labels"`
	APIKeys         []shownAPIKey   `json:"api_keys"`
	ServiceAccounts []string        `json:"service_accounts"`
	Activities      []shownActivity `json:"activities"`
}

type shownLabel struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Scope string `json:"scope"`
}

type shownAPIKey struct {
	Kid       string     `json:"kid"`
	Holder    string     `json:"holder"`
	State     string     `json:"state"`
	Scope     []string   `json:"scope"`
	ExpiresAt *time.Time `json:"expires_at"`
	UsedAt    *time.Time `json:"last_used_at"`
}

type shownActivity struct {
	At     time.Time       `json:"created_at"`
	By     string          `json:"by"`
	Topic  string          `json:"topic"`
	Action string          `json:"action"`
	Result string          `json:"result"`
	IP     string          `json:"ip,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

func (c usersShowCmd) Run(ctx context.Context, term *terminal) error {
	if c.Activities < 0 || c.Activities > 100 {
		return usageError{errors.New("--activities is from 0 to 100")}
	}
	return operate(ctx, term, c)
}

func (c usersShowCmd) operate(ctx context.Context, term *terminal, on opened) error {
	u, err := c.find(ctx, on.db)
	if err != nil {
		return err
	}
	shown, err := c.load(ctx, on.db, u)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(shown)
	}
	return shown.print(term.out)
}

// load reads everything that belongs to u.
func (c usersShowCmd) load(ctx context.Context, db *store.DB, u account.User) (shownUser, error) {
	shown := shownUser{
		User: view.UserOf(u), StateByStaff: u.AdminState,
		Labels: []shownLabel{}, APIKeys: []shownAPIKey{}, ServiceAccounts: []string{}, Activities: []shownActivity{},
	}
	passkeys, err := db.Passkeys(ctx, u.UID)
	if err != nil {
		return shown, err
	}
	shown.Passkeys = len(passkeys)
	labels, err := db.Labels(ctx, u.UID)
	if err != nil {
		return shown, err
	}
	for _, l := range labels {
		shown.Labels = append(shown.Labels, shownLabel{l.Key, l.Value, l.Scope})
	}
	accounts, err := db.ServiceAccountsOf(ctx, u.UID)
	if err != nil {
		return shown, err
	}
	for _, a := range accounts {
		shown.ServiceAccounts = append(shown.ServiceAccounts, a.UID)
	}
	for _, holder := range append([]string{u.UID}, shown.ServiceAccounts...) {
		keys, _, err := db.APIKeys(ctx, apikey.Query{HolderUID: holder, Limit: 100})
		if err != nil {
			return shown, err
		}
		for _, k := range keys {
			shown.APIKeys = append(shown.APIKeys, shownAPIKey{k.Kid, holder, k.State, k.Scope, orNil(k.ExpiresAt), orNil(k.LastUsedAt)})
		}
	}
	shown.Activities, err = c.activities(ctx, db, u.UID)
	return shown, err
}

// activities are the newest by or about the user.
func (c usersShowCmd) activities(ctx context.Context, db *store.DB, uid string) ([]shownActivity, error) {
	all := []shownActivity{}
	if c.Activities == 0 {
		return all, nil
	}
	byID := map[int64]audit.Activity{}
	for _, q := range []audit.Query{{ActorUID: uid, Limit: c.Activities}, {TargetUID: uid, Limit: c.Activities}} {
		rows, _, err := db.Activities(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, a := range rows {
			byID[a.ID] = a
		}
	}
	newest := slices.SortedFunc(maps.Values(byID), func(a, b audit.Activity) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	for _, a := range newest[:min(len(newest), c.Activities)] {
		all = append(all, shownActivity{
			a.CreatedAt, a.ActorKind + " " + a.ActorRef, a.Topic, a.Action, a.Result, a.IP, json.RawMessage(a.Data),
		})
	}
	return all, nil
}

func (u shownUser) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "uid\t%s\nemail\t%s\nrole\t%s\nlevel\t%d\nstate\t%s\n", u.UID, u.Email, u.Role, u.Level, u.State)
	if u.StateByStaff != "" {
		fmt.Fprintf(w, "state by staff\t%s\n", u.StateByStaff)
	}
	fmt.Fprintf(w, "one-time codes\t%t\npasskeys\t%d\n", u.OTP, u.Passkeys)
	for _, l := range u.Labels {
		fmt.Fprintf(w, "label\t%s=%s\t%s\n", l.Key, l.Value, l.Scope)
	}
	for _, uid := range u.ServiceAccounts {
		fmt.Fprintf(w, "service account\t%s\n", uid)
	}
	for _, k := range u.APIKeys {
		fmt.Fprintf(w, "api key\t%s\t%s\t%s\tof %s\n", k.Kid, k.State, strings.Join(k.Scope, ","), k.Holder)
	}
	for _, a := range u.Activities {
		fmt.Fprintf(w, "activity\t%s\t%s\t%s %s: %s\t%s\t%s\n", a.At.Format(time.RFC3339), a.By, a.Topic, a.Action, a.Result, a.IP, a.Data)
	}
	return w.Flush()
}

// change makes a change of one user and prints the user as they then are. A change that changes
// nothing is done already.
func (w whom) change(ctx context.Context, term *terminal, on opened, format string,
	change func(accounts *account.Service, uid string) error) error {
	u, err := w.find(ctx, on.db)
	if err != nil {
		return err
	}
	accounts, err := on.accounts()
	if err != nil {
		return err
	}
	var done account.NoChange
	if err := change(accounts, u.UID); err != nil && !errors.As(err, &done) {
		return err
	}
	if u, err = on.db.User(ctx, u.UID); err != nil {
		return err
	}
	return printUser(term, format, u, "")
}

// printUser prints an account in one line or one JSON object, with the password that was made up for
// it, if any.
func printUser(term *terminal, format string, u account.User, password string) error {
	if format == "json" {
		shown := map[string]any{"uid": u.UID, "email": u.Email, "role": u.Role, "state": u.State, "level": u.Level, "otp": u.OTP}
		if password != "" {
			shown["password"] = password
		}
		return json.NewEncoder(term.out).Encode(shown)
	}
	fmt.Fprintf(term.out, "%s %s role %s state %s level %d\n", u.UID, u.Email, u.Role, u.State, u.Level)
	if password != "" {
		fmt.Fprintf(term.out, "password %s\n", password)
	}
	return nil
}

type usersLockCmd struct {
	whom
	State  string `enum:"locked,banned" default:"locked" help:"State to give: locked or banned."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c usersLockCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c usersLockCmd) operate(ctx context.Context, term *terminal, on opened) error {
	return c.change(ctx, term, on, c.Format, func(accounts *account.Service, uid string) error {
		_, err := accounts.SetState(ctx, account.Operator(term.command), uid, c.State)
		return err
	})
}

type usersUnlockCmd struct {
	whom
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c usersUnlockCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c usersUnlockCmd) operate(ctx context.Context, term *terminal, on opened) error {
	return c.change(ctx, term, on, c.Format, func(accounts *account.Service, uid string) error {
		held, err := accounts.SetState(ctx, account.Operator(term.command), uid, account.StateActive)
		if err == nil && len(held) > 0 {
			err = fmt.Errorf("the state by staff is gone, but the label %s=%s still holds the user's state", held[0].Key, held[0].Value)
		}
		return err
	})
}

type usersRoleCmd struct {
	Role string `arg:"" help:"The role to give."`
	whom
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c usersRoleCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c usersRoleCmd) operate(ctx context.Context, term *terminal, on opened) error {
	if err := knownRole(ctx, on.db, c.Role); err != nil {
		return err
	}
	return c.change(ctx, term, on, c.Format, func(accounts *account.Service, uid string) error {
		return accounts.SetRole(ctx, account.Operator(term.command), uid, c.Role)
	})
}

type usersResetOTPCmd struct {
	whom
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c usersResetOTPCmd) Run(ctx context.Context, term *terminal) error {
	return operate(ctx, term, c)
}

func (c usersResetOTPCmd) operate(ctx context.Context, term *terminal, on opened) error {
	return c.change(ctx, term, on, c.Format, func(accounts *account.Service, uid string) error {
		return accounts.SwitchOffOTP(ctx, account.Operator(term.command), uid)
	})
}
