package clamd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"barong/internal/person"
)

const (
	chunk     = 64 << 10
	maxAnswer = 4 << 10
)

// Errors that operators can mend; a Scan that ends with them has decided nothing.
var (
	// ErrTooLong says that the daemon's StreamMaxLength is shorter than the file.
	ErrTooLong = errors.New("clamd: the file is longer than StreamMaxLength of its configuration")
	// errAnswer keeps an odd answer, which may repeat content of the file, out of the text.
	errAnswer = errors.New("clamd: the answer is not understood")
)

// Config names the daemon.
type Config struct {
	// Address is host:port, or unix:///path of its socket.
	Address string
	// Timeout of one scan, connection and answer included; at least 1 s.
	Timeout time.Duration
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if _, _, err := c.target(); err != nil {
		problems = append(problems, err)
	}
	if c.Timeout < time.Second {
		problems = append(problems, fmt.Errorf("the timeout is %v, want at least 1s", c.Timeout))
	}
	return errors.Join(problems...)
}

// target is the network and address to dial.
func (c Config) target() (network, address string, err error) {
	if path, ok := strings.CutPrefix(c.Address, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", "", errors.New("the address of a socket must be unix:///path")
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	if n, odd := strconv.ParseUint(port, 10, 16); err != nil || host == "" || odd != nil || n == 0 {
		return "", "", errors.New("the address must be host:port or unix:///path")
	}
	return "tcp", c.Address, nil
}

// Open reports whether files travel to another machine, where anybody on the way can read them and
// answer.
func (c Config) Open() bool {
	network, address, err := c.target()
	if err != nil || network == "unix" {
		return false
	}
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host != "localhost" && (err != nil || !ip.Unmap().IsLoopback())
}

// A Scanner asks the daemon, over a connection for each file. It is safe for concurrent use.
type Scanner struct {
	network, address string
	timeout          time.Duration
}

var _ person.Scanner = (*Scanner)(nil)

// New makes a scanner; it connects to nothing.
func New(c Config) (*Scanner, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("clamd: configuration: %w", err)
	}
	s := &Scanner{timeout: c.Timeout}
	s.network, s.address, _ = c.target()
	return s, nil
}

// Scan implements person.Scanner.
func (s *Scanner) Scan(ctx context.Context, content io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
	if err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	sent := stream(conn, content)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	var broken contentError
	if errors.As(sent, &broken) {
		return fmt.Errorf("read the file to scan: %w", broken.error)
	}
	// A daemon that refuses a file says so and closes, so that an answer may be there although
	// sending has failed.
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	verdict := read(answer)
	switch {
	case errors.Is(verdict, ErrTooLong):
		return verdict
	case sent != nil:
		return fmt.Errorf("clamd: %w", sent)
	case err != nil:
		return fmt.Errorf("clamd: %w", err)
	}
	return verdict
}

// contentError is a fault of the file's reader, not of the daemon.
type contentError struct{ error }

// stream sends the command and the content in chunks, each after its length of four bytes, and at last
// one of no length.
func stream(to io.Writer, content io.Reader) error {
	buf := make([]byte, 4+chunk)
	if _, err := io.WriteString(to, "zINSTREAM\x00"); err != nil {
		return err
	}
	for {
		n, err := io.ReadFull(content, buf[4:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return contentError{err}
		}
		if n > 0 {
			binary.BigEndian.PutUint32(buf, uint32(n))
			if _, err := to.Write(buf[:4+n]); err != nil {
				return err
			}
		}
		if err != nil { // the end
			_, err := to.Write([]byte{0, 0, 0, 0})
			return err
		}
	}
}

// read is the verdict of an answer: nil for "stream: OK", person.ErrInfected for "stream: <name> FOUND".
// Each ends with a NUL, and nothing follows.
func read(answer []byte) error {
	line, whole := bytes.CutSuffix(answer, []byte{0})
	text, ours := strings.CutPrefix(string(line), "stream: ")
	switch {
	case !whole || bytes.ContainsAny(line, "\x00\n\r"):
	case string(line) == "INSTREAM size limit exceeded. ERROR":
		return ErrTooLong
	case !ours:
	case text == "OK":
		return nil
	case strings.HasSuffix(text, " FOUND") && len(text) > len(" FOUND"):
		return person.ErrInfected
	}
	return errAnswer
}
