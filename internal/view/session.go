package view

import "barong/internal/session"

// Session is a session as its own user sees it; neither its id nor its tokens are shown.
type Session struct {
	Handle     string `json:"handle" doc:"Names the session; it opens nothing."`
	Current    bool   `json:"current" doc:"Whether the request came with it."`
	Device     string `json:"device" doc:"What user_agent claims to be, such as Firefox on Linux."`
	UserAgent  string `json:"user_agent" doc:"As sent at sign-in."`
	IP         string `json:"ip" doc:"Address at sign-in; empty when unknown."`
	Country    string `json:"country" doc:"Where the address is; empty when unknown."`
	CreatedAt  Time   `json:"created_at"`
	LastSeenAt Time   `json:"last_seen_at" doc:"To within a 60th of the session lifetime; less exact at the end of the absolute lifetime."`
	ExpiresAt  Time   `json:"expires_at" doc:"Unless it is used before."`
}

// SessionOf shows s; country is that of its address.
func SessionOf(s session.Live, country string, current bool) Session {
	v := Session{
		Handle: s.ID.Handle(), Current: current, Device: session.Device(s.UserAgent), UserAgent: s.UserAgent,
		Country: country, CreatedAt: Time(s.CreatedAt), LastSeenAt: Time(s.Seen), ExpiresAt: Time(s.ExpiresAt),
	}
	if s.IP.IsValid() {
		v.IP = s.IP.String()
	}
	return v
}
