package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"barong/internal/account"
	"barong/internal/config"
	"barong/internal/store"
)

// SQLite serves one process. A command that needs the database while `barong serve` has it is sent
// to that process, through a socket of the file system that nobody but its own user can open, and
// works there on the open database. It is the same code in both places.

// Bounds of the control socket.
const (
	controlBody = 256 << 10        // largest command
	controlTime = 10 * time.Minute // longest run: sealing a big database again takes long
	controlRuns = 4                // commands at once
	controlDial = 2 * time.Second  // longest wait for the service to take a connection
)

// opened is the database with the settings and files that belong to it.
type opened struct {
	settings config.Settings
	files    files
	db       *store.DB
	service  *service // the serving process, where the command runs in it; else nil
}

// accounts is the service of accounts for a command; passwords are hashed where it gives some.
func (on opened) accounts() (*account.Service, error) {
	if on.service != nil {
		return on.service.accounts, nil
	}
	return newAccounts(on.settings, on.files, on.db, newHasher(on.settings))
}

// An operation is a command that works on the database. Its exported fields are its input; they
// are sent to the service as JSON, so operate reads neither files nor standard input.
type operation interface {
	operate(ctx context.Context, term *terminal, on opened) error
}

// operate runs c on the database of the settings, in this process or in the one that serves it.
func operate(ctx context.Context, term *terminal, c operation) error {
	s, f, err := load(term)
	if err != nil {
		return err
	}
	db, err := openMigrated(ctx, s, f, newLog(s, term))
	if errors.Is(err, store.ErrInUse) {
		return sendOperation(ctx, term, s, c, err)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	return c.operate(ctx, term, opened{settings: s, files: f, db: db})
}

// operationRequest is a command on its way to the service.
type operationRequest struct {
	Command string          `json:"command"` // its words, "users create"
	Input   json.RawMessage `json:"input"`
}

// operationResult is everything that it printed, and its error.
type operationResult struct {
	Out   string `json:"out"`
	Err   string `json:"err"`
	Error string `json:"error,omitempty"`
	Usage bool   `json:"usage,omitempty"` // the error is of the usage
}

// errNoService says that there is no service to send a command to.
var errNoService = errors.New("no service runs")

// sendOperation has the service run the command. inUse is the reason why this process cannot.
func sendOperation(ctx context.Context, term *terminal, s config.Settings, c operation, inUse error) error {
	path := s.ControlSocket()
	if path == "" {
		return inUse
	}
	input, err := json.Marshal(c)
	if err != nil {
		return err
	}
	body, err := json.Marshal(operationRequest{Command: term.command, Input: input})
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: controlDial}).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://barong/operations", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%w; no service answers at %s: %w", inUse, path, err)
	}
	defer resp.Body.Close()
	var done operationResult
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil {
		return fmt.Errorf("the service at %s: %s: %w", path, resp.Status, err)
	}
	_, _ = io.WriteString(term.err, done.Err)
	if _, err := io.WriteString(term.out, done.Out); err != nil {
		return err
	}
	switch {
	case done.Error == "":
		return nil
	case done.Usage:
		return usageError{errors.New(done.Error)}
	}
	return errors.New(done.Error)
}

// control serves the control socket.
type control struct {
	service *service
	slots   chan struct{}
}

// listenControl binds the control socket; nil without one. The lock of the database is held, so a
// socket that is there belongs to a dead process. A socket that cannot be made stops nothing.
func listenControl(s config.Settings, log *slog.Logger) net.Listener {
	path := s.ControlSocket()
	if path == "" {
		return nil
	}
	l, err := listenOnSocket(path, 0o600)
	if err != nil {
		log.Warn("no control socket: commands that need the database must wait until this process has ended",
			"setting", "BARONG_CONTROL_SOCKET", "path", path, "error", err)
		return nil
	}
	return ownListener{l, log}
}

// ownListener takes connections of this process's user and of root. The mode of the socket says the
// same; this also holds in the moment before the mode is set, and in a folder that others may write.
type ownListener struct {
	net.Listener
	log *slog.Logger
}

func (l ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && (uid == os.Geteuid() || uid == 0) {
			return c, nil
		}
		_ = c.Close()
		l.log.Warn("a connection to the control socket was refused", "uid", uid, "error", err)
	}
}

// newControlServer serves operations. A command may take as long as controlTime, its request may not.
func newControlServer(sv *service) *http.Server {
	c := &control{service: sv, slots: make(chan struct{}, controlRuns)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /operations", c.serve)
	server := newHTTPServer(mux, sv.log)
	server.ReadTimeout, server.WriteTimeout = controlTime+time.Minute, controlTime+time.Minute
	return server
}

func (c *control) serve(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, done operationResult) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(done) // the command has gone
	}
	var request operationRequest
	if err := strictJSON(http.MaxBytesReader(w, r.Body, controlBody), &request); err != nil {
		answer(http.StatusBadRequest, operationResult{Error: "control socket: " + err.Error()})
		return
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		answer(http.StatusServiceUnavailable, operationResult{Error: "the service runs other commands; try again"})
		return
	}
	op, err := operationNamed(request.Command)
	if err == nil {
		err = strictJSON(bytes.NewReader(request.Input), op)
	}
	if err != nil {
		answer(http.StatusBadRequest, operationResult{Usage: true,
			Error: fmt.Sprintf("the service, barong %s, cannot run this: %v", thisBuild().Version, err)})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), controlTime)
	defer cancel()
	answer(http.StatusOK, c.run(ctx, request.Command, op))
}

// run runs the command on the service's database, and lets its effect come into force here before
// the answer, as REST does.
func (c *control) run(ctx context.Context, name string, op operation) operationResult {
	sv := c.service
	var out, errs bytes.Buffer
	term := &terminal{in: strings.NewReader(""), out: &out, err: &errs, command: name}
	ctx, obeyed := sv.track(ctx)
	err := op.operate(ctx, term, opened{settings: sv.settings, files: sv.files, db: sv.db, service: sv})
	done := operationResult{Out: out.String(), Err: errs.String()}
	if err != nil {
		done.Error, done.Usage = err.Error(), errors.As(err, &usageError{})
	}
	sv.log.Info("a command was run", "command", name, "error", done.Error)
	obeyed()
	return done
}

// strictJSON decodes one value with known members only.
func strictJSON(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}

// operationNamed makes the command with these words, if it is one that works on the database.
func operationNamed(words string) (operation, error) {
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		return nil, err
	}
	for _, leaf := range parser.Model.Leaves(false) {
		if commandOf(leaf) != words || leaf.Target.Kind() != reflect.Struct {
			continue
		}
		if op, ok := leaf.Target.Addr().Interface().(operation); ok {
			return op, nil
		}
	}
	return nil, fmt.Errorf("no command %q works on the database", words)
}

// commandOf is the words of a command, "users create".
func commandOf(n *kong.Node) string {
	if n.Parent == nil || n.Parent.Type == kong.ApplicationNode {
		return n.Name
	}
	return commandOf(n.Parent) + " " + n.Name
}
