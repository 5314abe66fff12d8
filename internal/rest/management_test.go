package rest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

// The groups below do what a namespace for peer services will: their parameters are claims of a
// signed body, their refusals sentences, in other shapes by group.

// peer is a service that has signed a body.
type peer struct {
	signer string
	data   json.RawMessage
}

var (
	errQuery    = errors.New("a query")
	errNoJSON   = errors.New("not JSON")
	errSigned   = errors.New("not signed")
	errFew      = errors.New("too few signatures")
	errNoRecord = errors.New("no such record")
)

// envelope is the wire form of a request.
type envelope struct {
	Payload   string `json:"payload"`
	Signer    string `json:"signer"`
	Signature string `json:"signature"`
}

func sign(payload string) string {
	mac := hmac.New(sha256.New, []byte("a key of the test"))
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func admitPeer(r *http.Request) (peer, error) {
	if r.URL.RawQuery != "" {
		return peer{}, errQuery
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return peer{}, err
	}
	var e envelope
	if r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(text, &e) != nil {
		return peer{}, errNoJSON
	}
	if !hmac.Equal([]byte(sign(e.Payload)), []byte(e.Signature)) {
		return peer{}, errSigned
	}
	var claims struct {
		Data json.RawMessage `json:"data"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(e.Payload)
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return peer{}, errSigned
	}
	return peer{e.Signer, claims.Data}, nil
}

// sentences words the problems of parameters.
func sentences(problems []rest.Problem) (int, any) {
	var all []string
	for _, p := range problems {
		names := strings.Join(p.Params, ", ")
		text := names + " " + p.Token
		switch {
		case p.Breach == rest.NoneOf:
			text = names + " are missing, exactly one parameter must be provided"
		case p.Breach == rest.SeveralOf:
			text = names + " are mutually exclusive"
		case p.Named:
		case p.Breach == rest.Missing:
			text = names + " is missing"
		case p.Breach == rest.Blank:
			text = names + " is empty"
		default:
			text = names + " is invalid"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return 422, rest.ErrorText{Error: strings.Join(all, ", ")}
}

func full(token string) (attribute, message string) {
	attribute, reason, _ := strings.Cut(token, ".")
	return attribute, strings.ToUpper(attribute[:1]) + attribute[1:] + " " + strings.ReplaceAll(reason, "_", " ")
}

type messages struct {
	Error []string `json:"error"`
}

// messagesOf and byAttribute word the rules of the domain, each for one group.
func messagesOf(tokens []string) (int, any) {
	var out messages
	for _, t := range tokens {
		_, m := full(t)
		out.Error = append(out.Error, m)
	}
	return 422, out
}

func byAttribute(tokens []string) (int, any) {
	out := map[string][]string{}
	for _, t := range tokens {
		attribute, m := full(t)
		out[attribute] = append(out[attribute], m)
	}
	return 422, out
}

type lookup struct {
	UID   *string `name:"uid" rule:"nonblank" oneof:".one_of"`
	Email *string `name:"email" rule:"nonblank" oneof:".one_of"`
	rest.Paging
}

type labelInput struct {
	Key     string `name:"key" rule:"required,nonblank"`
	Replace bool   `name:"replace" default:"true"`
	Code    string `name:"otp_code" in:"body"`
}

type labelShown struct {
	Key     string `json:"key"`
	Replace bool   `json:"replace"`
	Code    string `json:"code"`
	Signer  string `json:"signer"`
}

func management(t *testing.T) *rest.Server {
	t.Helper()
	s := newTestServer(t, func(c *rest.Config) { c.MaxBody = 2 << 10 })
	g := rest.NewGroup(s, "management", rest.Guard[peer]{
		Admit:     admitPeer,
		Principal: func(who peer) string { return who.signer },
		Source:    rest.Source[peer]{JSON: func(who peer) []byte { return who.data }, Doc: "The claim data of the signed payload."},
		Refusals: rest.All(
			rest.OnText(errQuery, 400, "Query parameters are not allowed."),
			rest.OnText(errNoJSON, 400, "Only JSON body is accepted."),
			rest.OnText(errSigned, 401, "Failed to verify JWT."),
		),
	}).Worded(rest.Wording{Params: sentences, Rules: messagesOf}).Failing(rest.OnText(errNoRecord, 404, "Record is not found"))
	scope := func(g rest.Group[peer], signer string) rest.Group[peer] {
		return g.Narrow(func(_ *http.Request, who peer) (peer, error) {
			if who.signer != signer {
				return who, errFew
			}
			return who, nil
		}, rest.OnText(errFew, 401, "Not enough signatures for the action."))
	}
	rest.Add(scope(g.At("/users", "user"), "backend"), rest.Op{Method: "POST", Path: "/get", Summary: "Find a user.",
		Errors: rest.Rules("email.is_invalid", "role.doesnt_exist")},
		func(_ context.Context, _ peer, in lookup) (string, error) {
			switch {
			case in.UID == nil:
				return *in.Email, nil
			case *in.UID == "none":
				return "", errNoRecord
			case *in.UID == "bad":
				return "", rules{"email.is_invalid", "role.doesnt_exist"}
			}
			return *in.UID, nil
		})
	labels := scope(g.At("/labels", "label"), "backend").Worded(rest.Wording{Rules: byAttribute})
	for _, method := range []string{"PUT", "DELETE"} {
		rest.Add(labels, rest.Op{
			Method: method, Status: 200, Summary: "Put a label.", Errors: rest.Rules("key.is_too_short", "key.is_invalid"),
		}, func(_ context.Context, who peer, in labelInput) (labelShown, error) {
			if in.Key == "x" {
				return labelShown{}, rules{"key.is_too_short", "key.is_invalid"}
			}
			return labelShown{in.Key, in.Replace, in.Code, who.signer}, nil
		})
	}
	return s
}

// A guard may bring the parameters, of claims that it has verified, and a group its own words.
func TestParametersFromTheGuard(t *testing.T) {
	s := management(t)
	c := resttest.New(t, s)
	send := func(method, path, signer, claims string) resttest.Answer {
		t.Helper()
		payload := base64.RawURLEncoding.EncodeToString([]byte(claims))
		return c.JSON(t, method, "/api/v2/management"+path, envelope{payload, signer, sign(payload)})
	}
	for name, test := range map[string]struct {
		method, path, signer, claims string
		status                       int
		body                         string
	}{
		"a parameter": {"POST", "/users/get", "backend", `{"data":{"uid":"ID1","more":[1]}}`, 201, `"ID1"`},
		"with any verb, a secret too": {"DELETE", "/labels", "backend", `{"data":{"key":"k","replace":false,"otp_code":"7"}}`, 200,
			`{"key":"k","replace":false,"code":"7","signer":"backend"}`},
		"claims beside data are none":  {"PUT", "/labels", "backend", `{"key":"k","data":{"replace":true}}`, 422, `{"error":"key is missing, key is empty"}`},
		"data that is no object":       {"PUT", "/labels", "backend", `{"data":["key"]}`, 422, `{"error":"key is missing, key is empty"}`},
		"no data":                      {"PUT", "/labels", "backend", `{}`, 422, `{"error":"key is missing, key is empty"}`},
		"a wrong type":                 {"PUT", "/labels", "backend", `{"data":{"key":"k","replace":"maybe"}}`, 422, `{"error":"replace is invalid"}`},
		"a text of the declaration":    {"POST", "/users/get", "backend", `{"data":{"uid":"a","page":0,"limit":"x"}}`, 422, `{"error":"page non_positive_page, limit non_integer_limit, limit invalid_limit"}`},
		"none of several":              {"POST", "/users/get", "backend", `{"data":{}}`, 422, `{"error":"uid, email are missing, exactly one parameter must be provided"}`},
		"several of several":           {"POST", "/users/get", "backend", `{"data":{"email":"a","uid":"b"}}`, 422, `{"error":"uid, email are mutually exclusive"}`},
		"not found":                    {"POST", "/users/get", "backend", `{"data":{"uid":"none"}}`, 404, `{"error":"Record is not found"}`},
		"rules in the words of users":  {"POST", "/users/get", "backend", `{"data":{"uid":"bad"}}`, 422, `{"error":["Email is invalid","Role doesnt exist"]}`},
		"rules in the words of labels": {"PUT", "/labels", "backend", `{"data":{"key":"x"}}`, 422, `{"key":["Key is too short","Key is invalid"]}`},
		"another signer":               {"PUT", "/labels", "stranger", `{"data":{"key":"k"}}`, 401, `{"error":"Not enough signatures for the action."}`},
		"too large":                    {"PUT", "/labels", "backend", `{"data":{"key":"` + strings.Repeat("k", 2<<10) + `"}}`, 413, `{"errors":["server.body_too_large"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			send(test.method, test.path, test.signer, test.claims).Want(t, test.status, test.body)
		})
	}
	at := "/api/v2/management/labels"
	c.JSON(t, "PUT", at+"?key=k", nil).Want(t, 400, `{"error":"Query parameters are not allowed."}`)
	c.Send(t, "PUT", at, "text/plain", "x").Want(t, 400, `{"error":"Only JSON body is accepted."}`)
	c.JSON(t, "PUT", at, map[string]any{"key": "k"}).Want(t, 401, `{"error":"Failed to verify JWT."}`)
	c.JSON(t, "PUT", at, envelope{"e30", "backend", sign("e31")}).Want(t, 401, `{"error":"Failed to verify JWT."}`)
}

// The document shows parameters and bodies as they are.
func TestDocumentOfWordings(t *testing.T) {
	s := management(t)
	doc, err := s.Document("T", "1")
	if err != nil {
		t.Fatal(err)
	}
	del := doc.Paths.Find("/management/labels").Delete
	if len(del.Parameters) != 0 || del.RequestBody.Value.Description != "The claim data of the signed payload." {
		t.Errorf("DELETE: parameters %v, body %q; want them in the described body", del.Parameters, del.RequestBody.Value.Description)
	}
	media := del.RequestBody.Value.Content
	if len(media) != 1 || media["application/json"].Schema.Value.Properties["otp_code"] == nil {
		t.Errorf("the body is documented as %v", media)
	}
	text, err := json.Marshal(del.Responses.Status(422))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Key is too short"`, `"key is missing"`, `"replace is invalid"`, `#/components/schemas/ErrorText`, `"additionalProperties":{"items":{"type":"string"},"type":"array"}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("422 lacks %s: %s", want, text)
		}
	}
	if strings.Contains(string(text), "management.label") || del.Responses.Status(415) != nil {
		t.Errorf("422 has tokens, or there is a 415: %s", text)
	}
}

// An endpoint cannot want the body that its guard has read.
func TestSourceAndRawBodyContradict(t *testing.T) {
	s := newTestServer(t, nil)
	g := rest.NewGroup(s, "x", rest.Guard[peer]{Admit: admitPeer, Source: rest.Source[peer]{JSON: func(who peer) []byte { return who.data }}})
	defer func() {
		if recover() == nil {
			t.Error("Add accepted it")
		}
	}()
	rest.Add(g, rest.Op{Method: "POST", Cost: limit.Read, Summary: "x"},
		func(context.Context, peer, callback) (rest.None, error) { return rest.None{}, nil })
}
