// Command barong is the gatekeeper of an exchange: it answers a proxy's question about
// every request, and serves the REST APIs beside it.
//
// Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"barong/internal/config"
	"barong/internal/roster"
)

// Set by the linker; see the Makefile.
var (
	version = "dev"
	commit  = ""
)

// cli is the commands; each has its file.
type cli struct {
	Serve        serveCmd         `cmd:"" help:"Run everything. With no configuration at all it runs embedded: one file, loopback only."`
	Migrate      migrateCmd       `cmd:"" help:"Bring the database to this version's tables."`
	Seed         seedCmd          `cmd:"" help:"Add the levels, permissions, restrictions and users of the seeds file that are missing."`
	Users        usersCmd         `cmd:"" help:"Manage users."`
	Keys         keysCmd          `cmd:"" help:"Manage signing keys."`
	Restrictions restrictionsCmd  `cmd:"" help:"List restrictions, and switch one off that locks people out."`
	Sessions     sessionsCmd      `cmd:"" help:"Manage sessions."`
	Config       configCmd        `cmd:"" help:"Check settings, or print their reference and defaults."`
	Explain      explainCmd       `cmd:"" help:"Explain the decision on a request."`
	Management   managementCmd    `cmd:"" help:"Call the management API."`
	OpenAPI      openAPICmd       `cmd:"" name:"openapi" help:"Print the OpenAPI document of an API."`
	Status       statusCmd        `cmd:"" help:"Show the state of the service on one screen."`
	Completion   completionCmd    `cmd:"" help:"Print a script that completes commands in bash, zsh or fish."`
	PrintVersion kong.VersionFlag `name:"version" short:"v" help:"Print the version."`
	Health       healthCmd        `cmd:"" help:"Ask the ops listener of this environment whether it is ready: exit status 0 or 1."`
	Version      versionCmd       `cmd:"" help:"Print the version."`
}

// A terminal is where a command speaks.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	command  string // the words of the command that runs
}

// usageError marks failures that end with exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	term := &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}
	os.Exit(run(ctx, os.Args[1:], term))
}

// newParser makes the parser that fills c.
func newParser(c *cli, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append(options,
		kong.Name("barong"),
		kong.Description("The gatekeeper of an exchange. Settings are BARONG_* variables: see `barong config docs`."),
		kong.Vars{"user_orders": strings.Join(roster.Orders(), ","), "version": thisBuild().String()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)...)
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, term *terminal) int {
	var c cli
	exited := -1
	parser, err := newParser(&c,
		kong.Writers(term.out, term.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(term),
	)
	if err != nil {
		fmt.Fprintln(term.err, "barong:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintln(term.err, "barong:", err)
		return 2
	}
	term.command = commandOf(parsed.Selected())
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(term.err, "barong:", err)
		var problems config.Problems
		if errors.As(err, &usageError{}) || errors.As(err, &problems) {
			return 2
		}
		return 1
	}
	return 0
}
