package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"barong/internal/config"
)

// healthCmd is for images without a shell or curl.
type healthCmd struct {
	Timeout time.Duration `default:"2s" help:"Longest time to wait for the answer."`
}

func (c healthCmd) Run(ctx context.Context, term *terminal) error {
	s, err := config.Load(term.environ)
	if err != nil {
		return err
	}
	addr, err := near(s.Listen.Ops)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return err
	}
	// No proxy of the environment stands between a process and its own listener.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	var said struct{ Status, Reason string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&said); err != nil {
		return fmt.Errorf("%s answered %d without a status: %w", addr, r.StatusCode, err)
	}
	if r.StatusCode != http.StatusOK {
		return errors.New(said.Status + ": " + said.Reason)
	}
	fmt.Fprintln(term.out, said.Status)
	return nil
}

// near is the address at which this machine reaches a listener: one on all addresses is on
// loopback, too.
func near(listener string) (string, error) {
	host, port, err := net.SplitHostPort(listener)
	if err != nil {
		return "", err
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
