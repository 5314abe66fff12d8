package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/store"
	"barong/internal/token"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the signing keys and their states."`
	Rotate keysRotateCmd `cmd:"" help:"Publish a new key, which signs once every consumer can know it."`
	Revoke keysRevokeCmd `cmd:"" help:"Remove a key that has leaked, at once; another signs in its place."`
	Import keysImportCmd `cmd:"" help:"Bring the private key of the service that this replaces, as PEM."`
	Reseal keysResealCmd `cmd:"" help:"Seal everything in the database again with BARONG_SECRET_KEY that BARONG_SECRET_KEYS_OTHER sealed."`
	Public keysPublicCmd `cmd:"" help:"Print the public key in use, for those who configure it by hand."`
}

// keys are the signing keys of the database, as they are in it now.
func (on opened) keys(ctx context.Context) (*token.Keys, error) {
	return openKeys(ctx, on.settings, on.db)
}

type keysListCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// keyLine is a signing key as it is shown: nothing private.
type keyLine struct {
	Kid         string     `json:"kid"`
	Use         string     `json:"use"`
	Algorithm   string     `json:"algorithm"`
	State       string     `json:"state"`
	CreatedAt   time.Time  `json:"created_at"`
	ActivatedAt *time.Time `json:"activated_at"`
	RetiredAt   *time.Time `json:"retired_at"`
}

func (c keysListCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c keysListCmd) operate(ctx context.Context, term *terminal, on opened) error {
	keys, err := on.keys(ctx)
	if err != nil {
		return err
	}
	lines := keyLines(keys)
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(lines)
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KID\tUSE\tALGORITHM\tSTATE\tCREATED")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Kid, l.Use, l.Algorithm, l.State, l.CreatedAt.Format(time.RFC3339))
	}
	return w.Flush()
}

func keyLines(keys *token.Keys) (lines []keyLine) {
	for _, k := range keys.List() {
		lines = append(lines, keyLine{
			k.Kid, k.Use, k.Algorithm, string(k.State), k.CreatedAt, orNil(k.ActivatedAt), orNil(k.RetiredAt),
		})
	}
	return lines
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type keysRotateCmd struct {
	Use    string `enum:"bearer,mail,wire" default:"bearer" help:"Which key: bearer, mail or wire."`
	Now    bool   `help:"Sign by the new key at once: consumers refuse its tokens until they read the key set again."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c keysRotateCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c keysRotateCmd) operate(ctx context.Context, term *terminal, on opened) error {
	keys, err := on.keys(ctx)
	if err != nil {
		return err
	}
	made, from, err := keys.Rotate(ctx, c.Use, c.Now)
	if err != nil {
		return err
	}
	if err := on.noteKey(ctx, term, "rotate", made.Kid, c.Use); err != nil {
		return err
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(map[string]any{
			"kid": made.Kid, "use": made.Use, "algorithm": made.Algorithm, "state": made.State, "signs_from": from,
		})
	}
	if c.Now {
		fmt.Fprintf(term.out, "%s signs now.\n", made.Kid)
		return nil
	}
	fmt.Fprintf(term.out, "%s is published; it signs from %s, when every consumer's copy of the key set has run out.\n",
		made.Kid, from.Format(time.RFC3339))
	return nil
}

type keysRevokeCmd struct {
	Kid    string `arg:"" help:"The key to remove."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c keysRevokeCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c keysRevokeCmd) operate(ctx context.Context, term *terminal, on opened) error {
	keys, err := on.keys(ctx)
	if err != nil {
		return err
	}
	successor, err := keys.Revoke(ctx, c.Kid)
	if errors.Is(err, token.ErrNoKey) {
		return fmt.Errorf("no signing key has the kid %q", c.Kid)
	}
	if err != nil {
		return err
	}
	if err := on.noteKey(ctx, term, "revoke", c.Kid, successor.Use); err != nil {
		return err
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(struct {
			Kid       string `json:"kid"`
			Successor string `json:"successor,omitempty"`
		}{c.Kid, successor.Kid})
	}
	fmt.Fprintf(term.out, "%s is gone: tokens that it signed are refused here, and by consumers once they have read the key set again.\n", c.Kid)
	if successor.Kid != "" {
		fmt.Fprintf(term.out, "%s signs in its place.\n", successor.Kid)
	}
	return nil
}

// noteKey leaves an activity about a change of the signing keys.
func (on opened) noteKey(ctx context.Context, term *terminal, action, kid, use string) error {
	a := account.Operator(term.command).Activity(on.db.Time(), "signing_key", action, audit.Succeed, "")
	data, err := json.Marshal(map[string]string{"kid": kid, "use": use})
	if err != nil {
		return err
	}
	a.Data = string(data)
	err = store.Update[account.Tx](on.db)(ctx, func(tx account.Tx) error { return tx.AddActivity(ctx, a) })
	if err != nil {
		return fmt.Errorf("it is done, but not among the activities: %w", err)
	}
	return nil
}

type keysImportCmd struct {
	File   string `arg:"" help:"PEM file, or - for standard input."`
	Use    string `enum:"bearer,mail,wire" default:"bearer" help:"What it is to sign: bearer, mail or wire."`
	Now    bool   `help:"Make it active at once, for consumers that know it already."`
	Format string `enum:"text,json" default:"text" help:"text or json."`

	PEM []byte `kong:"-"`
}

func (c keysImportCmd) Run(ctx context.Context, term *terminal) error {
	text, err := c.read(term)
	if err != nil {
		return err
	}
	c.PEM = text
	return operate(ctx, term, c)
}

func (c keysImportCmd) operate(ctx context.Context, term *terminal, on opened) error {
	keys, err := on.keys(ctx)
	if err != nil {
		return err
	}
	kid, err := keys.Import(ctx, c.Use, c.PEM, c.Now)
	if err != nil {
		return err
	}
	if err := on.noteKey(ctx, term, "import", kid, c.Use); err != nil {
		return err
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(map[string]string{"kid": kid, "use": c.Use})
	}
	fmt.Fprintln(term.out, kid)
	return nil
}

func (c keysImportCmd) read(term *terminal) ([]byte, error) {
	const most = 64 << 10
	if c.File == "-" {
		return io.ReadAll(io.LimitReader(term.in, most))
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

type keysPublicCmd struct {
	Use    string `arg:"" optional:"" enum:"wire,bearer" default:"wire" help:"wire, which signs events, or bearer."`
	Format string `enum:"pem,raw,jwk" default:"pem" help:"pem; raw, which is PEM around the 32 bytes of an Ed25519 key, as Rango reads it; or jwk."`
}

func (c keysPublicCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (c keysPublicCmd) operate(ctx context.Context, term *terminal, on opened) error {
	keys, err := on.keys(ctx)
	if err != nil {
		return err
	}
	text, err := keys.Public(c.Use, c.Format)
	if err != nil {
		return err
	}
	_, err = term.out.Write(text)
	return err
}

type keysResealCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c keysResealCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

// operate fails while a value is left that the current key does not open.
func (c keysResealCmd) operate(ctx context.Context, term *terminal, on opened) error {
	columns, failed := on.db.Reseal(ctx)
	return errors.Join(c.show(term, columns), failed)
}

func (c keysResealCmd) show(term *terminal, columns []store.Resealing) error {
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(columns)
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tCOLUMN\tSEALED\tLEFT\tUNOPENED")
	for _, r := range columns {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", r.Table, r.Column, r.Sealed, r.Left, r.Unopened)
	}
	return w.Flush()
}
