package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"barong/internal/chronicle"
	"barong/internal/expect"
)

// counted is a chronicle.Counter that counts how often it is asked.
type counted struct {
	asked int
	from  time.Time
	err   error
}

func (c *counted) Numbers(_ context.Context, from, _ time.Time) (chronicle.Numbers, error) {
	c.asked, c.from = c.asked+1, from
	day := from.Format(time.DateOnly)
	return chronicle.Numbers{
		SignUps: map[string]int{day: 3}, SignIns: map[string]int{day: 10}, Failures: map[string]int{day: 2}, Pending: 4,
	}, c.err
}

// However often they are scraped, the figures ask the database once a minute, for this day alone.
func TestNumbersAreCheapToScrape(t *testing.T) {
	now := time.Date(2026, 11, 30, 23, 59, 30, 0, time.UTC)
	var db counted
	m := &numberMetrics{from: &db, now: func() time.Time { return now }}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	shown := func() (figures map[string]float64) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, x := range f.GetMetric() {
				name := f.GetName()
				for _, l := range x.GetLabel() {
					name += " " + l.GetValue()
				}
				if figures == nil {
					figures = map[string]float64{}
				}
				figures[name] = x.GetGauge().GetValue()
			}
		}
		return figures
	}
	for range 100 {
		expect.Equal(t, shown(), map[string]float64{
			"barong_sign_ups_today": 3, "barong_sign_ins_today succeed": 10, "barong_sign_ins_today failed": 2, "barong_pending_applications": 4,
		})
	}
	if today := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC); db.asked != 1 || !db.from.Equal(today) {
		t.Errorf("asked %d times, from %s; want once, from %s", db.asked, db.from, today)
	}
	now, db.err = now.Add(time.Minute), errors.New("it is away")
	if got := shown(); got != nil || db.asked != 2 {
		t.Errorf("while the database is away: %v, asked %d times; want nothing, twice", got, db.asked)
	}
}
