package authztest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"barong/internal/audit"
)

// An Answer is the answer to a question, in words that all protocols share.
type Answer struct {
	Status       int
	Reason       string
	Detail       string // the object that a denial may have beside its reason
	Outage       bool
	Bearer       string
	Cookie       string   // the header that the upstream gets
	Removed      []string // request headers that are taken away
	ClearsCookie bool
}

// A State is the visible part of the world in which a question was asked.
type State interface {
	Now() time.Time
	// Ended reports whether the session of that name has ended for good.
	Ended(name string) bool
	// Activities returns the activities since the last call.
	Activities() []audit.Activity
}

// Problems compares an answer, and the effects of the question on the world, with x.
func (x Expect) Problems(w State, q Question, got Answer) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	want := x.Status
	if want == 0 {
		want = http.StatusOK
	}
	if got.Status != want || got.Reason != x.Reason {
		wrong("got %d %q, want %d %q", got.Status, got.Reason, want, x.Reason)
	}
	for _, text := range x.Detail {
		if !strings.Contains(got.Detail, text) {
			wrong("detail %q lacks %s", got.Detail, text)
		}
	}
	if got.Detail != "" && len(x.Detail) == 0 {
		wrong("the denial explains itself by %s, which the case does not state", got.Detail)
	}
	if got.Outage != x.Outage {
		wrong("told as an outage: %v, want %v", got.Outage, x.Outage)
	}
	if want != http.StatusOK && got.Bearer != "" {
		wrong("a denial carries a token")
	}
	token := x.Token
	if token == nil && x.Claims != nil {
		yes := true
		token = &yes
	}
	if token != nil && (got.Bearer != "") != *token {
		wrong("a token was given: %v, want %v", got.Bearer != "", *token)
	}
	if got.Status == http.StatusOK && got.Bearer == "" && !slices.Contains(got.Removed, "authorization") {
		wrong("the client's own Authorization reaches the upstream")
	}
	if slices.Contains(got.Removed, "authorization") && got.Bearer != "" {
		wrong("authorization is set and removed")
	}
	if x.Claims != nil && got.Bearer != "" {
		list = append(list, claimProblems(x.Claims, got.Bearer, w.Now())...)
	}
	if x.Cookie != nil && got.Cookie != *x.Cookie {
		wrong("the upstream gets Cookie %q, want %q", got.Cookie, *x.Cookie)
	}
	for _, name := range x.Removed {
		if !slices.Contains(got.Removed, name) {
			wrong("%s is not removed, only %q", name, got.Removed)
		}
	}
	for _, name := range x.Kept {
		if slices.Contains(got.Removed, name) {
			wrong("%s is removed", name)
		}
	}
	if x.ClearsCookie != nil && got.ClearsCookie != *x.ClearsCookie {
		wrong("the session cookie is deleted: %v, want %v", got.ClearsCookie, *x.ClearsCookie)
	}
	for _, name := range x.Ended {
		if !w.Ended(name) {
			wrong("session %s has not ended", name)
		}
	}
	for _, name := range x.Alive {
		if w.Ended(name) {
			wrong("session %s has ended", name)
		}
	}
	return append(list, x.ActivityProblems(w.Activities())...)
}

// ActivityProblems compares the activities that a question left with those expected, if any
// are stated.
func (x Expect) ActivityProblems(got []audit.Activity) (list []string) {
	if x.Activities == nil {
		return nil
	}
	if len(got) != len(*x.Activities) {
		return []string{fmt.Sprintf("%d activities, want %d: %+v", len(got), len(*x.Activities), got)}
	}
	for i, want := range *x.Activities {
		list = append(list, activityProblems(want, got[i])...)
	}
	return list
}

func activityProblems(want Activity, got audit.Activity) (list []string) {
	compare := func(name, got string, want *string) {
		if want != nil && got != *want {
			list = append(list, fmt.Sprintf("activity: %s is %q, want %q", name, got, *want))
		}
	}
	compare("actor", got.ActorUID, want.Actor)
	compare("ref", got.ActorRef, want.Ref)
	compare("target", got.TargetUID, want.Target)
	compare("category", got.Category, want.Category)
	compare("topic", got.Topic, want.Topic)
	compare("action", got.Action, want.Action)
	compare("result", got.Result, want.Result)
	compare("ip", got.IP, want.IP)
	compare("country", got.IPCountry, want.Country)
	compare("user agent", got.UserAgent, want.UserAgent)
	for _, text := range want.Data {
		if !strings.Contains(got.Data, text) {
			list = append(list, fmt.Sprintf("activity: data %s lacks %s", got.Data, text))
		}
	}
	for _, text := range want.NoData {
		if strings.Contains(got.Data, text) {
			list = append(list, fmt.Sprintf("activity: data %s holds %s", got.Data, text))
		}
	}
	return list
}

// claimProblems compares the claims of a token with those expected. The signature is
// package token's to prove. iat and exp are relative to the world's clock in seconds.
func claimProblems(want map[string]any, bearer string, now time.Time) (list []string) {
	compact, ok := strings.CutPrefix(bearer, "Bearer ")
	parts := strings.Split(compact, ".")
	if !ok || len(parts) != 3 {
		return []string{fmt.Sprintf("token %q is not Bearer and a compact JWS", bearer)}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return []string{fmt.Sprintf("claims: %v", err)}
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		return []string{fmt.Sprintf("claims: %v", err)}
	}
	for name, value := range want {
		actual, present := got[name]
		if value == "absent" {
			if present {
				list = append(list, fmt.Sprintf("claim %s is %v, want none", name, actual))
			}
			continue
		}
		if n, ok := actual.(float64); ok && (name == "iat" || name == "exp") {
			actual = n - float64(now.Unix())
		}
		a, _ := json.Marshal(actual)
		b, _ := json.Marshal(value)
		if !present || !bytes.Equal(a, b) {
			list = append(list, fmt.Sprintf("claim %s is %s, want %s", name, a, b))
		}
	}
	return list
}

// CheckRequest is a question as Envoy asks it over gRPC.
func CheckRequest(q Question) *authv3.CheckRequest {
	headers := map[string]string{}
	for _, h := range q.Headers {
		name := strings.ToLower(h.Name)
		if old, ok := headers[name]; ok {
			separator := ","
			if name == "cookie" {
				separator = "; "
			}
			headers[name] = old + separator + h.Value
			continue
		}
		headers[name] = h.Value
	}
	m := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{
				Address: q.Peer, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 40000},
			},
		}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: q.Method, Path: q.Target, Host: q.Host, Scheme: "http", Protocol: "HTTP/1.1",
			Headers: headers,
		}},
	}}
	m.Attributes.Request.Http.RawBody = []byte(q.Body)
	return m
}

// OfResponse puts the response to a gRPC client into an Answer.
func OfResponse(q Question, m *authv3.CheckResponse) Answer {
	denied := m.GetDeniedResponse()
	a := Answer{Outage: m.GetErrorResponse() != nil}
	if a.Outage {
		denied = m.GetErrorResponse()
	}
	if denied == nil {
		if m.GetStatus().GetCode() != 0 {
			a.Status = int(m.GetStatus().GetCode())
			return a
		}
		a.Status = http.StatusOK
		a.Removed = m.GetOkResponse().GetHeadersToRemove()
		a.Cookie = q.SentCookie()
		if slices.Contains(a.Removed, "cookie") {
			a.Cookie = ""
		}
		for _, h := range m.GetOkResponse().GetHeaders() {
			switch h.GetHeader().GetKey() {
			case "authorization":
				a.Bearer = h.GetHeader().GetValue()
			case "cookie":
				a.Cookie = h.GetHeader().GetValue()
			}
		}
		return a
	}
	a.Status = int(denied.GetStatus().GetCode())
	a.Reason, a.Detail = denialIn(denied.GetBody())
	if a.Reason == "authz.unavailable" {
		a.Outage = true // outage_answer=deny says it the other way
	}
	for _, h := range denied.GetHeaders() {
		a.ClearsCookie = a.ClearsCookie || h.GetHeader().GetKey() == "set-cookie"
	}
	return a
}

// SentCookie is the Cookie header that the client sends, its lines joined.
func (q Question) SentCookie() string {
	var all []string
	for _, h := range q.Headers {
		if strings.EqualFold(h.Name, "cookie") {
			all = append(all, h.Value)
		}
	}
	return strings.Join(all, "; ")
}

// ReasonIn is the code in a denial's body, which must have exactly one shape: the code alone, or
// with an object that explains it.
func ReasonIn(body string) string {
	reason, _ := denialIn(body)
	return reason
}

// DetailIn is the object in a denial's body, "" for none.
func DetailIn(body string) string {
	_, detail := denialIn(body)
	return detail
}

func denialIn(body string) (reason, detail string) {
	rest, ok := strings.CutPrefix(body, `{"errors":["`)
	reason, rest, ok2 := strings.Cut(rest, `"]`)
	detail, more := strings.CutPrefix(rest, `,"detail":`)
	if more {
		detail, more = strings.CutSuffix(detail, "}")
		more = more && strings.HasPrefix(detail, "{") && json.Valid([]byte(detail))
	} else {
		detail, more = "", rest == "}"
	}
	if !ok || !ok2 || !more {
		return "not a denial: " + body, ""
	}
	return reason, detail
}
