package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// misdirected returns a function for requests that REST has no endpoint for. It logs once a
// minute that they are questions of a proxy that belong to the forward-auth listener: the REST
// port took them in set-ups of the service that this replaces, and answers 404 to all of them.
func (sv *service) misdirected() func(*http.Request) {
	began := time.Now()
	var next atomic.Int64 // when it may be said again, in nanoseconds since began
	return func(r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/v2/auth/api/") {
			return
		}
		age, due := time.Since(began), next.Load()
		if int64(age) < due || !next.CompareAndSwap(due, int64(age+time.Minute)) {
			return
		}
		sv.log.Warn("a proxy asks the REST listener for decisions, where every request is 404; "+
			"let its path_prefix /api/v2/auth lead to the forward-auth listener",
			"setting", "BARONG_FORWARD_ADDR", "address", sv.settings.Listen.Forward)
	}
}
