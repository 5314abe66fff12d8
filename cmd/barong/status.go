package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	dto "github.com/prometheus/client_model/go"
)

type statusCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// status is the state of a service on one screen.
type status struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	// Service says whether a running service answers; without one the rest is about the database.
	Service bool   `json:"service"`
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"` // why it is not ready
	Engine  string `json:"database"`
	Feed    int64  `json:"feed"` // number of the newest change
	// Gauges are its metrics that hold a state, by name and labels.
	Gauges map[string]float64 `json:"gauges"`
	Keys   []keyLine          `json:"keys"`
}

// statusMetrics are the prefixes of the gauges that status shows.
var statusMetrics = []string{
	"barong_feed_lag", "barong_clock_offset", "barong_snapshot_", "barong_redis_up", "barong_sessions_cached",
	"barong_audit_queue_depth", "barong_audit_spill_bytes", "barong_outbox_",
}

// Run asks the service that has a control socket, and else looks at the database.
func (c statusCmd) Run(ctx context.Context, term *terminal) error {
	s, _, err := load(term)
	if err != nil {
		return err
	}
	if path := s.ControlSocket(); path != "" {
		if _, err := os.Stat(path); err == nil {
			if err := sendOperation(ctx, term, s, c, errNoService); !errors.Is(err, errNoService) {
				return err
			}
		}
	}
	return operate(ctx, term, c)
}

func (c statusCmd) operate(ctx context.Context, term *terminal, on opened) error {
	b := thisBuild()
	st := status{Version: b.Version, Commit: b.Commit, Engine: "postgresql", Gauges: map[string]float64{}}
	if on.settings.SQLite() {
		st.Engine = "sqlite"
	}
	head, err := on.db.Head(ctx)
	if err != nil {
		return err
	}
	st.Feed = head.Seq
	keys, err := on.keys(ctx)
	if err != nil {
		return err
	}
	st.Keys = keyLines(keys)
	if sv := on.service; sv != nil {
		st.Service = true
		if err := sv.ready(ctx); err != nil {
			st.Reason = err.Error()
		}
		st.Ready = st.Reason == ""
		families, err := sv.metrics.Gather()
		if err != nil {
			return err
		}
		for _, f := range families {
			if f.GetType() == dto.MetricType_GAUGE && slices.ContainsFunc(statusMetrics, func(p string) bool { return strings.HasPrefix(f.GetName(), p) }) {
				for _, m := range f.GetMetric() {
					st.Gauges[gaugeName(f.GetName(), m)] = m.GetGauge().GetValue()
				}
			}
		}
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(st)
	}
	return st.print(term)
}

// gaugeName is a gauge as Prometheus writes it, without the prefix of all.
func gaugeName(name string, m *dto.Metric) string {
	name = strings.TrimPrefix(name, "barong_")
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, l.GetName()+"="+l.GetValue())
	}
	if len(labels) == 0 {
		return name
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}

func (st status) print(term *terminal) error {
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%s %s\n", st.Version, st.Commit)
	switch {
	case !st.Service:
		fmt.Fprintln(w, "service\tnone has this control socket; this is the database alone")
	case st.Ready:
		fmt.Fprintln(w, "service\tready")
	default:
		fmt.Fprintf(w, "service\tNOT READY: %s\n", st.Reason)
	}
	fmt.Fprintf(w, "database\t%s, change feed at %d\n", st.Engine, st.Feed)
	names := make([]string, 0, len(st.Gauges))
	for name := range st.Gauges {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%s\t%.6g\n", name, st.Gauges[name])
	}
	for _, k := range st.Keys {
		fmt.Fprintf(w, "key %s\t%s %s %s since %s\n", k.Use, k.Kid, k.Algorithm, k.State, k.CreatedAt.Format(time.RFC3339))
	}
	return w.Flush()
}
