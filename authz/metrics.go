package authz

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"barong/policy"
)

// Metrics counts and times decisions. Every series is looked up once and kept, so that a
// decision costs a few atomic additions. The nil *Metrics counts nothing.
type Metrics struct {
	decisions *prometheus.CounterVec
	seconds   [outcomes]prometheus.Observer
	replays   prometheus.Counter
	beyond    prometheus.Counter
	panics    prometheus.Counter
	unlogged  prometheus.Counter
	suspects  [suspicions]prometheus.Counter
	reasons   map[string]int
	names     []string
	series    [outcomes][]atomic.Pointer[prometheus.Counter] // by reason and credential kind
}

const (
	outcomeAllow = iota
	outcomeDeny
	outcomeOutage
	outcomes
)

var outcomeNames = [outcomes]string{"allow", "deny", "outage"}

// credentialKinds is how many kinds there are.
const credentialKinds = int(viaAPIKey) + 1

// decisionBuckets are seconds. A warm decision takes about a microsecond, one that asks a
// store a few milliseconds, and none more than the deadline.
var decisionBuckets = []float64{
	1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6, 128e-6, 256e-6, 512e-6,
	1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3, 64e-3, 128e-3, 256e-3, 512e-3, 1,
}

// NewMetrics registers the metrics of decisions with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "barong_decisions_total",
			Help: "Decisions by outcome (allow, deny, outage), reason of the denial and kind of credential.",
		}, []string{"outcome", "reason", "credential"}),
		replays: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "barong_apikey_replays_total",
			Help: "API key nonces that had been used before, whether refused or only watched.",
		}),
		beyond: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "barong_apikey_unscoped_total",
			Help: "Requests outside their imported API key's scope that were not refused for it, as apikey_scope_enforce is off.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "barong_decision_panics_total",
			Help: "Decisions that panicked and were answered 503.",
		}),
		unlogged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "barong_decision_log_dropped_total",
			Help: "Lines of the decision log that were dropped because writing fell behind.",
		}),
		// The first name stands for reasons that are not listed, the second for none.
		names: []string{
			"other", "",
			reasonInvalidMethod, reasonPermissionDenied, reasonInvalidRequest, reasonAPIKeyHeaders, reasonMissingCSRF,
			reasonCSRFMismatch, reasonInvalidSession, reasonClientMismatch, reasonUserNotActive, reasonEmailNotVerified,
			reasonUnknownAPIKey, reasonNonceInvalid, reasonNonceExpired, reasonInvalidSignature,
			reasonReplayed, reasonAPIKeyNotActive, reasonAPIKeyExpired, reasonAPIKeyAddress, reasonAPIKeyScope, reasonDisabled2FA, reasonInvalidPermission,
			reasonUnavailable,
		},
	}
	m.names = append(m.names, policy.RestrictionReasons()...)
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "barong_decision_duration_seconds",
		Help:    "Time from the parsed request to the answer.",
		Buckets: decisionBuckets,
	}, []string{"outcome"})
	suspects := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "barong_client_address_suspect_total",
		Help: "Requests whose client's address may be another's (untrusted_peer, untrusted_hop: a private address " +
			"that is no trusted proxy sends X-Forwarded-For), or is unreadable (refused).",
	}, []string{"cause"})
	for cause := suspectPeer; cause < suspicions; cause++ {
		m.suspects[cause] = suspects.WithLabelValues(cause.String())
	}
	reg.MustRegister(m.decisions, seconds, m.replays, m.beyond, m.panics, m.unlogged, suspects)
	m.reasons = make(map[string]int, len(m.names))
	for i, name := range m.names {
		m.reasons[name] = i
	}
	for i := range m.series {
		m.seconds[i] = seconds.WithLabelValues(outcomeNames[i])
		m.series[i] = make([]atomic.Pointer[prometheus.Counter], len(m.names)*credentialKinds)
	}
	return m
}

// decided counts one decision that took d.
func (m *Metrics) decided(d *decision, took time.Duration) {
	if m == nil {
		return
	}
	outcome := outcomeDeny
	switch {
	case d.outage:
		outcome = outcomeOutage
	case d.allowed():
		outcome = outcomeAllow
	}
	m.seconds[outcome].Observe(took.Seconds())
	reason := m.reasons[d.reason] // 0, "other", for one that is not listed
	place := &m.series[outcome][reason*credentialKinds+int(d.via)]
	c := place.Load()
	if c == nil {
		made := m.decisions.WithLabelValues(outcomeNames[outcome], m.names[reason], d.via.String())
		place.Store(&made)
		c = &made
	}
	(*c).Inc()
}

func (m *Metrics) replayed() {
	if m != nil {
		m.replays.Inc()
	}
}

func (m *Metrics) unscoped() {
	if m != nil {
		m.beyond.Inc()
	}
}

func (m *Metrics) suspected(cause suspicion) {
	if m != nil {
		m.suspects[cause].Inc()
	}
}

func (m *Metrics) panicked() {
	if m != nil {
		m.panics.Inc()
	}
}

// LineDropped counts a line that DecisionLog lost.
func (m *Metrics) LineDropped() {
	if m != nil {
		m.unlogged.Inc()
	}
}
