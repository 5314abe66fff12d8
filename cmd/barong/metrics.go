package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"barong/internal/event"
	"barong/internal/notify"
	"barong/internal/peer"
)

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
	r.MustRegister(relayMetrics{sv.relay}, &numberMetrics{from: sv.db, now: sv.db.Time}, messageMetrics{sv.messages})
	if sv.mailer != nil {
		r.MustRegister(mailMetrics{sv.mailer})
	}
}

// mailMetrics exports the number of mails that a Mailer dropped.
type mailMetrics struct{ *notify.Mailer }

var mailsDropped = prometheus.NewDesc("barong_mails_dropped_total",

	"Mails that were not sent: their reader was sent enough, or has an address that nobody proved.", []string{"lane", "reason"}, nil)

// Describe implements prometheus.Collector.
func (mailMetrics) Describe(c chan<- *prometheus.Desc) { c <- mailsDropped }

// Collect implements prometheus.Collector.
func (m mailMetrics) Collect(c chan<- prometheus.Metric) {
	for _, d := range m.Dropped() {
		c <- prometheus.MustNewConstMetric(mailsDropped, prometheus.CounterValue, float64(d.Mails), string(d.Lane), d.Reason)
	}
}

// messageMetrics exports the number of messages of the management API that a Verifier refused.
type messageMetrics struct{ *peer.Verifier }

var messagesRefused = prometheus.NewDesc("barong_management_refused_total",
	"Messages of services that were refused, by the reason.", []string{"reason"}, nil)

// Describe implements prometheus.Collector.
func (messageMetrics) Describe(c chan<- *prometheus.Desc) { c <- messagesRefused }

// Collect implements prometheus.Collector.
func (m messageMetrics) Collect(c chan<- prometheus.Metric) {
	for reason, n := range m.Refused() {
		c <- prometheus.MustNewConstMetric(messagesRefused, prometheus.CounterValue, float64(n), reason)
	}
}

// relayMetrics exports a Relay's figures of each destination.
type relayMetrics struct{ *event.Relay }

var (
	outboxWaiting = prometheus.NewDesc("barong_outbox_waiting", "Events that wait for a destination.", []string{"destination"}, nil)
	outboxParked  = prometheus.NewDesc("barong_outbox_parked", "Events that a destination will not take.", []string{"destination"}, nil)
	outboxOldest  = prometheus.NewDesc("barong_outbox_oldest_seconds", "Age of the oldest event that waits.", []string{"destination"}, nil)
	outboxUp      = prometheus.NewDesc("barong_outbox_up", "0 while a destination cannot be reached.", []string{"destination"}, nil)
	outboxSent    = prometheus.NewDesc("barong_outbox_sent_total", "Events that this process delivered.", []string{"destination"}, nil)
	outboxRetried = prometheus.NewDesc("barong_outbox_retried_total", "Attempts of this process that failed.", []string{"destination"}, nil)
	outboxGaveUp  = prometheus.NewDesc("barong_outbox_gave_up_total", "Events that this process gave up.", []string{"destination"}, nil)
)

// Describe implements prometheus.Collector.
func (relayMetrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		outboxWaiting, outboxParked, outboxOldest, outboxUp, outboxSent, outboxRetried, outboxGaveUp,
	} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m relayMetrics) Collect(c chan<- prometheus.Metric) {
	for _, s := range m.Stats() {
		gauge := func(d *prometheus.Desc, v float64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Destination)
		}
		total := func(d *prometheus.Desc, n int64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), s.Destination)
		}
		gauge(outboxWaiting, float64(s.Waiting))
		gauge(outboxParked, float64(s.Parked))
		age := 0.0
		if !s.Oldest.IsZero() {
			age = max(0, time.Since(s.Oldest).Seconds())
		}
		gauge(outboxOldest, age)
		up := 0.0
		if s.Up {
			up = 1
		}
		gauge(outboxUp, up)
		total(outboxSent, s.Sent)
		total(outboxRetried, s.Retried)
		total(outboxGaveUp, s.GaveUp)
	}
}
