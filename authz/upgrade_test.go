package authz

import (
	"slices"
	"testing"
)

// Whatever the readers make of several lines, only one word in one line opens a tunnel (D23).
func TestMayUpgrade(t *testing.T) {
	s := fakeServer(t, &fakes{w: small(t)}, func(c *Config, _ *Parts) { c.WebsocketPaths = []string{"api/v2/ranger", "/api/v2/resource/feed/"} })
	for name, test := range map[string]struct {
		request
		want bool
	}{
		"none":                        {request{method: "POST", path: "api/v2/peatio"}, true},
		"a websocket":                 {request{method: "GET", path: "api/v2/ranger/private", upgrade: "websocket"}, true},
		"in another case":             {request{method: "GET", path: "api/v2/ranger", upgrade: " WebSocket\t"}, true},
		"on a folded path":            {request{method: "GET", path: "api/v2/barong/resource/feed/x", upgrade: "websocket"}, true},
		"elsewhere":                   {request{method: "GET", path: "api/v2/peatio", upgrade: "websocket"}, false},
		"on a longer name":            {request{method: "GET", path: "api/v2/rangers", upgrade: "websocket"}, false},
		"on the name in another case": {request{method: "GET", path: "api/v2/Ranger", upgrade: "websocket"}, false},
		"with a suffix":               {request{method: "GET", path: "api/v2/ranger.json", upgrade: "websocket"}, false},
		"by POST":                     {request{method: "POST", path: "api/v2/ranger", upgrade: "websocket"}, false},
		"another protocol":            {request{method: "GET", path: "api/v2/ranger", upgrade: "h2c"}, false},
		"several, joined":             {request{method: "GET", path: "api/v2/ranger", upgrade: "websocket,websocket"}, false},
		"several, unjoined":           {request{method: "GET", path: "api/v2/ranger", upgrade: "websocket", repeat: 1 << headerUpgrade}, false},
		"several, the last one empty": {request{method: "GET", path: "api/v2/ranger", repeat: 1 << headerUpgrade}, false},
		"HTTP2-Settings beside it":    {request{method: "GET", path: "api/v2/ranger", upgrade: "websocket", hasHTTP2Settings: true}, false},
		"HTTP2-Settings alone":        {request{method: "GET", path: "api/v2/peatio", hasHTTP2Settings: true}, false},
		"blank":                       {request{method: "GET", path: "api/v2/ranger", upgrade: " "}, false},
		"a version":                   {request{method: "GET", path: "api/v2/ranger", upgrade: "websocket/13"}, false},
		"a letter that only looks so": {request{method: "GET", path: "api/v2/ranger", upgrade: "web\u017focket"}, false},
		"the Kelvin sign":             {request{method: "GET", path: "api/v2/ranger", upgrade: "websoc\u212aet"}, false},
	} {
		if got := s.mayUpgrade(&test.request); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	if want := []string{"api/v2/ranger", "api/v2/barong/resource/feed"}; !slices.Equal(s.websockets, want) {
		t.Errorf("got paths %q, want %q", s.websockets, want)
	}
}
