package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds one look at whether we are ready.
const readyTimeout = time.Second

// opsHandler serves /healthz (the process lives), /readyz (it can decide: ready returns
// nil), /metrics and, if asked for, /debug/pprof.
func opsHandler(metrics *prometheus.Registry, ready func(context.Context) error, withPprof bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		health(w, http.StatusOK, "ok", "")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			health(w, http.StatusServiceUnavailable, "not ready", err.Error())
			return
		}
		health(w, http.StatusOK, "ready", "")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{Registry: metrics}))
	if withPprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func health(w http.ResponseWriter, status int, state, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	body := map[string]string{"status": state}
	if why != "" {
		body["reason"] = why
	}
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}

// newMetrics makes the registry with the metrics of every process.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b := thisBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "barong_build_info", Help: "1, with the version as labels.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	info.Set(1)
	r.MustRegister(info)
	return r
}

// gauge registers a figure that is read when somebody asks.
func gauge(r prometheus.Registerer, name, help string, read func() float64) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// counter registers a total that is read when somebody asks.
func counter(r prometheus.Registerer, name, help string, read func() float64) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}

// measure registers the figures that parts keep themselves.
func (sv *service) measure(r prometheus.Registerer) {
	gauge(r, "barong_feed_lag_seconds", "Time since the change feed was last read.",
		func() float64 { return sv.follower.Age(time.Now()).Seconds() })
	gauge(r, "barong_clock_offset_seconds", "By how much this machine's clock is ahead of the database's.",
		func() float64 { return sv.db.ClockOffset().Seconds() })
	for seen, total := range map[string]func() int64{"commits": sv.follower.Histories, "server": sv.follower.Servers} {
		counter(prometheus.WrapRegistererWith(prometheus.Labels{"seen": seen}, r), "barong_history_changes_total",
			"How often the database may have another history than before: commits were gone, or it is another server or start of it.",
			func() float64 { return float64(total()) })
	}
	gauge(r, "barong_snapshot_age_seconds", "Time since the policy snapshot was last known to be the newest.",
		func() float64 { return sv.holder.Age(time.Now()).Seconds() })
	gauge(r, "barong_snapshot_version", "Change-feed number of the policy snapshot.",
		func() float64 { return float64(sv.holder.Load().Version()) })
	if redis := sv.stores.redis; redis != nil {
		gauge(r, "barong_redis_up", "1 while Redis answers; it is asked every second.", func() float64 {
			if redis.Stats().Up {
				return 1
			}
			return 0
		})
		counter(r, "barong_redis_commands_total", "Commands sent to Redis.",
			func() float64 { return float64(redis.Stats().Commands) })
		counter(r, "barong_redis_exchanges_total", "Exchanges with Redis, each of one or more commands.",
			func() float64 { return float64(redis.Stats().Pipelines) })
		counter(r, "barong_redis_failures_total", "Exchanges that Redis did not answer.",
			func() float64 { return float64(redis.Stats().Failures) })
		counter(r, "barong_redis_refused_total", "Commands not sent because Redis had failed just before.",
			func() float64 { return float64(redis.Stats().Refused) })
	}
	gauge(r, "barong_sessions_cached", "Sessions in memory.",
		func() float64 { return float64(sv.sessions.Len()) })
	counter(r, "barong_session_loads_total", "Sessions read from the store.",
		func() float64 { return float64(sv.sessions.Loads()) })
	gauge(r, "barong_audit_queue_depth", "Activities waiting in memory.",
		func() float64 { return float64(sv.audit.QueueDepth()) })
	gauge(r, "barong_audit_spill_bytes", "Size of the spill file.",
		func() float64 { return float64(sv.audit.SpillBytes()) })
	counter(r, "barong_audit_written_total", "Activities written to the database.",
		func() float64 { return float64(sv.audit.Written()) })
	counter(r, "barong_audit_folded_total", "Denials that were folded into a counted row.",
		func() float64 { return float64(sv.audit.Folded()) })
	counter(r, "barong_audit_lost_total", "Activities that could be kept nowhere.",
		func() float64 { return float64(sv.audit.Lost()) })
}
