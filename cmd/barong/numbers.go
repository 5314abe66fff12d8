package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"barong/internal/chronicle"
)

// numberMetrics exports the figures of the day for people. It asks the database once a minute at most,
// however often it is scraped, and shows nothing while the database does not answer.
type numberMetrics struct {
	from chronicle.Counter
	now  func() time.Time

	mu    sync.Mutex
	asked time.Time
	known bool
	last  chronicle.Numbers
	day   string
}

var (
	signUpsToday  = prometheus.NewDesc("barong_sign_ups_today", "Sign-ups since midnight, UTC; up to a minute old.", nil, nil)
	signInsToday  = prometheus.NewDesc("barong_sign_ins_today", "Sign-ins since midnight, UTC, by result; up to a minute old.", []string{"result"}, nil)
	pendingPeople = prometheus.NewDesc("barong_pending_applications", "Users whose documents wait for review; up to a minute old.", nil, nil)
)

// Describe implements prometheus.Collector.
func (*numberMetrics) Describe(c chan<- *prometheus.Desc) {
	c <- signUpsToday
	c <- signInsToday
	c <- pendingPeople
}

// Collect implements prometheus.Collector.
func (m *numberMetrics) Collect(c chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.now().UTC(); m.asked.IsZero() || now.Sub(m.asked) >= time.Minute {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		last, err := m.from.Numbers(ctx, now.Truncate(24*time.Hour), time.Time{})
		m.asked, m.known, m.last, m.day = now, err == nil, last, now.Format(time.DateOnly)
	}
	if !m.known {
		return
	}
	show := func(d *prometheus.Desc, n int, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	show(signUpsToday, m.last.SignUps[m.day])
	show(signInsToday, m.last.SignIns[m.day], "succeed")
	show(signInsToday, m.last.Failures[m.day], "failed")
	show(pendingPeople, m.last.Pending)
}
