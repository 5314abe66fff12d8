package apitest

import (
	"slices"
	"strings"
	"time"

	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/expect"
)

// destination is where every event goes.
const destination = "test"

// Activities lists those that match, oldest first.
func (w *World) Activities(q audit.Query) []audit.Activity {
	w.T.Helper()
	q.Limit = 1000
	rows, _, err := w.DB.Activities(w.T.Context(), q)
	expect.OK(w.T, err)
	slices.Reverse(rows)
	return rows
}

// Deeds are the activities of a user as "topic action result data", oldest first.
func (w *World) Deeds(uid string) (deeds []string) {
	w.T.Helper()
	for _, a := range w.Activities(audit.Query{ActorUID: uid}) {
		deeds = append(deeds, strings.TrimSpace(a.Topic+" "+a.Action+" "+a.Result+" "+a.Data))
	}
	return deeds
}

// News takes the events since the last call, oldest first. They hold no secret, but for mailed
// links.
func (w *World) News() (all []event.Event) {
	w.T.Helper()
	items, err := w.DB.DueEvents(w.T.Context(), destination, w.Clock().Add(24*time.Hour), 1000, 1000)
	expect.OK(w.T, err)
	for _, i := range items {
		expect.OK(w.T, i.Err)
		for _, one := range w.secrets.in(string(i.Record) + string(i.Changes)) {
			w.T.Errorf("%v holds the secret %q", i.Event, one)
		}
		all = append(all, i.Event)
		expect.OK(w.T, w.DB.DeleteEvents(w.T.Context(), i.UUID))
	}
	return all
}
