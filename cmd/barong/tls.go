package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"barong/internal/config"
)

// listenerTLS is the TLS of each listener; nil means none.
type listenerTLS struct{ http, grpc, forward, management *tls.Config }

// openTLS reads the certificates of the settings; the error names the setting of each that
// cannot be used. log hears of those that are read again.
func openTLS(s config.Settings, log *slog.Logger) (listenerTLS, error) {
	var errs []error
	open := func(key string, files config.Certificate, alpn string) *tls.Config {
		c, err := watchCertificate(files, log, alpn)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		return c
	}
	t := s.TLS
	all := listenerTLS{
		http:       open("BARONG_HTTP_TLS_CERT", t.HTTP(), "http/1.1"),
		grpc:       open("BARONG_GRPC_TLS_CERT", t.GRPC(), "h2"),
		forward:    open("BARONG_FORWARD_TLS_CERT", t.Forward(), "http/1.1"),
		management: open("BARONG_MANAGEMENT_TLS_CERT", t.Management(), "http/1.1"),
	}
	return all, errors.Join(errs...)
}

// secured is l with TLS, if there is any.
func secured(l net.Listener, c *tls.Config) net.Listener {
	if c == nil {
		return l
	}
	return tls.NewListener(l, c)
}

// certificates is the TLS of one listener, read again when its files change, so that a
// renewed certificate needs no restart. It is safe for concurrent use.
type certificates struct {
	files config.Certificate
	log   *slog.Logger
	next  []string // ALPN

	mu      sync.Mutex
	current *tls.Config
	seen    [3]stamp
	looked  time.Time
}

// stamp distinguishes the states of a file.
type stamp struct {
	at   time.Time
	size int64
}

// lookEvery is the least time between two looks at the files.
const lookEvery = time.Second

// watchCertificate reads the certificate of a listener; nil when it has none.
func watchCertificate(files config.Certificate, log *slog.Logger, alpn string) (*tls.Config, error) {
	if files.Cert == "" {
		return nil, nil
	}
	c := &certificates{files: files, log: log, next: []string{alpn}}
	var err error
	c.seen = c.stamps()
	if c.current, err = c.read(); err != nil {
		return nil, err
	}
	c.looked = time.Now()
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{alpn},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.get(time.Now()), nil },
	}, nil
}

// get is the newest good configuration. Files that cannot be read leave the old one in
// force: half a renewal must not take the listener down.
func (c *certificates) get(now time.Time) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < lookEvery {
		return c.current
	}
	c.looked = now
	seen := c.stamps()
	if seen == c.seen {
		return c.current
	}
	read, err := c.read()
	if err != nil {
		c.log.Error("certificate not read again; the old one stays", "file", c.files.Cert, "error", err)
		return c.current
	}
	c.seen, c.current = seen, read
	c.log.Info("certificate read again", "file", c.files.Cert)
	return c.current
}

func (c *certificates) stamps() (s [3]stamp) {
	for i, path := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: c.next, Certificates: []tls.Certificate{pair}}
	if c.files.ClientCA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.files.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("load client authorities: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("load client authorities: no certificate in " + c.files.ClientCA)
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	return t, nil
}
