package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// ready reports why this process should not be asked, or nil. It does not ask the database:
// while that is away, warm decisions go on until their data is too old (design D21), and the
// change feed's age shows when.
func (sv *service) ready(context.Context) error {
	now := time.Now()
	switch {
	case sv.stopping.Load():
		return errors.New("stopping")
	case sv.holder.Age(now) > sv.settings.Policy.MaxStale:
		return errors.New("the policy is too old")
	case sv.follower.Age(now) > sv.settings.Decision.CacheMaxStale:
		return errors.New("the change feed has not been read for too long")
	}
	return sv.db.Admitted()
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
