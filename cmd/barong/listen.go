package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"barong/internal/config"
)

// bound is the listeners; management is nil without an address of its own.
type bound struct{ http, grpc, forward, ops, management net.Listener }

// listen binds all that have an address, or none; the error names the setting of each that failed.
func listen(l config.Listen) (b bound, err error) {
	var errs []error
	for _, x := range []struct {
		key, addr string
		into      *net.Listener
	}{
		{"BARONG_HTTP_ADDR", l.HTTP, &b.http},
		{"BARONG_GRPC_ADDR", l.GRPC, &b.grpc},
		{"BARONG_FORWARD_ADDR", l.Forward, &b.forward},
		{"BARONG_OPS_ADDR", l.Ops, &b.ops},
		{"BARONG_MANAGEMENT_ADDR", l.Management, &b.management},
	} {
		if x.addr == "" {
			continue
		}
		got, err := listenOn(x.addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x.key, err))
			continue
		}
		*x.into = got
	}
	if len(errs) > 0 {
		b.close()
		return bound{}, errors.Join(errs...)
	}
	return b, nil
}

// close frees the addresses; those that a server has closed already stay so.
func (b bound) close() {
	for _, l := range []net.Listener{b.http, b.grpc, b.forward, b.ops, b.management} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// listenOn binds host:port, or unix:///path as a socket of mode 0660.
func listenOn(addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return listenOnSocket(path, 0o660)
	}
	return net.Listen("tcp", addr)
}

// listenOnSocket binds a socket of the file system. One that a dead process left behind is replaced;
// one that answers is not.
func listenOnSocket(path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another process listens there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    128 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
