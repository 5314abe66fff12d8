package rest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

// everything has one field of every kind that endpoints use.
type everything struct {
	Key      string            `name:"key"`
	Need     string            `name:"need" rule:"required,nonblank"`
	Code     string            `name:"code" rule:"required" in:"query" missing:"own.missing"`
	Password string            `name:"password" in:"body"`
	Scope    *string           `name:"scope" rule:"nonblank"`
	Order    string            `name:"ordering" enum:"asc,desc" default:"asc" value:"own.ordering"`
	Count    *int64            `name:"count"`
	Flag     bool              `name:"flag"`
	Day      *rest.Date        `name:"day"`
	Captcha  rest.TextOrObject `name:"captcha_response" in:"body" invalid:"own.captcha"`
	Words    []string          `name:"words"`
	Files    []rest.File       `name:"upload"`
	Loose    rest.Lenient      `name:"loose"`
	rest.Paging
}

type seen struct {
	Key      string   `json:"key"`
	Need     string   `json:"need"`
	Code     string   `json:"code"`
	Password string   `json:"password"`
	Scope    *string  `json:"scope"`
	Order    string   `json:"ordering"`
	Count    *int64   `json:"count"`
	Flag     bool     `json:"flag"`
	Day      string   `json:"day"`
	Captcha  string   `json:"captcha"`
	Words    []string `json:"words"`
	Files    []string `json:"files"`
	Loose    string   `json:"loose"`
	Page     int      `json:"page"`
	Limit    int      `json:"limit"`
}

func echo(_ context.Context, _ struct{}, in everything) (seen, error) {
	out := seen{
		Key: in.Key, Need: in.Need, Code: in.Code, Password: in.Password, Scope: in.Scope,
		Order: in.Order, Count: in.Count, Flag: in.Flag, Words: []string{}, Files: []string{},
		Loose: string(in.Loose), Page: in.Page, Limit: in.Limit, Captcha: in.Captcha.Text,
	}
	if in.Day != nil {
		out.Day = time.Time(*in.Day).Format(time.DateOnly)
	}
	if v, ok := in.Captcha.Object["geetest_challenge"].(string); ok {
		out.Captcha = "object " + v
	}
	out.Words = append(out.Words, in.Words...)
	for _, f := range in.Files {
		if f.Content == nil {
			out.Files = append(out.Files, "no file")
			continue
		}
		b, err := io.ReadAll(f.Content)
		if err != nil {
			return out, err
		}
		out.Files = append(out.Files, f.Name+f.Media+"="+string(b))
	}
	return out, nil
}

var (
	errLocked  = errors.New("locked")
	errGone    = errors.New("gone")
	errOutage  = errors.New("database: connection refused by 10.1.2.3")
	errGuarded = errors.New("not you")
)

type rules []string

func (r rules) Error() string    { return "rules" }
func (r rules) Tokens() []string { return r }

var nobody = rest.Guard[struct{}]{
	Admit: func(r *http.Request) (struct{}, error) {
		if r.Header.Get("X-Refuse") != "" {
			return struct{}{}, errGuarded
		}
		return struct{}{}, nil
	},
	Refusals: rest.On(errGuarded, http.StatusUnauthorized, "jwt.decode_and_verify"),
	Schemes:  []rest.Scheme{{Name: "bearer", Type: "http", Scheme: "bearer"}},
}

type failing struct {
	How string `name:"how"`
}

func fail(_ context.Context, _ struct{}, in failing) (rest.None, error) {
	switch in.How {
	case "locked":
		return rest.None{}, errors.Join(errors.New("put label"), errLocked, limit.TooMany{RetryAfter: 1500 * time.Millisecond})
	case "gone":
		return rest.None{}, errGone
	case "rules":
		return rest.None{}, rules{"kid.blank", "algorithm.inclusion"}
	case "outage":
		return rest.None{}, errors.Join(errors.New("load"), errOutage)
	case "driver":
		return rest.None{}, errors.Join(errors.New("load"), io.ErrUnexpectedEOF)
	case "slow":
		return rest.None{}, context.DeadlineExceeded
	case "bug":
		return rest.None{}, errors.New("secret detail")
	case "panic":
		panic("secret detail")
	}
	return rest.None{}, nil
}

func list(_ context.Context, _ struct{}, in rest.Paging) (rest.Page[int], error) {
	total := 250
	var items []int
	for i := in.Offset(); i < min(total, in.Offset()+in.Limit); i++ {
		items = append(items, i)
	}
	return rest.Page[int]{Items: items, Total: total, Paging: in}, nil
}

func newServer(t testing.TB, log io.Writer, change func(*rest.Config)) *rest.Server {
	t.Helper()
	c := rest.Config{Log: slog.New(slog.NewJSONHandler(log, nil)), MaxBody: 1 << 20, Outages: []error{errOutage},
		Unavailable: func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }}
	if change != nil {
		change(&c)
	}
	s, err := rest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	g := rest.NewGroup(s, "resource", nobody).At("/things", "thing")
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		rest.Add(g, rest.Op{Cost: limit.Read,
			Method: method, Path: "/{key}", Status: 200, Summary: "Echo.",
		}, echo)
	}
	rest.Add(g, rest.Op{Cost: limit.Read,
		Method: "POST", Status: 201, Summary: "Fail in many ways.",
		Errors: rest.All(
			rest.On(errLocked, 429, "resource.thing.too_many_requests").After(),
			rest.OnText(errGone, 422, "Connection error"),
			rest.Rules("kid.blank", "algorithm.inclusion"),
		),
	}, fail)
	rest.Add(g, rest.Op{Cost: limit.Read, Method: "DELETE", Status: 204, Summary: "Nothing."},
		func(context.Context, struct{}, rest.None) (rest.None, error) { return rest.None{}, nil })
	rest.Add(g, rest.Op{Cost: limit.Read, Method: "GET", Status: 200, Summary: "List."}, list)
	s.Handle("/.well-known/jwks.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		io.WriteString(w, `{"keys":[]}`)
	}))
	return s
}

func client(t testing.TB) *resttest.Client {
	t.Helper()
	return resttest.New(t, newServer(t, io.Discard, nil))
}

const thing = "/api/v2/resource/things/k1"

func TestBinding(t *testing.T) {
	multi := "--b\r\nContent-Disposition: form-data; name=\"need\"\r\n\r\nm\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"upload[]\"; filename=\"a.txt\"\r\n\r\nAA\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"upload[]\"; filename=\"b.txt\"\r\n\r\nBB\r\n--b--\r\n"
	form := "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		query, media, body string
		want               func(*seen)
	}{
		"JSON": {media: "application/json", body: `{"need":"n","count":5,"flag":true}`, want: func(s *seen) {
			s.Need, s.Flag = "n", true
			s.Count = ptr(int64(5))
		}},
		"no content type means JSON": {body: `{"need":"n"}`, want: func(s *seen) { s.Need = "n" }},
		"JSON with a charset": {media: "application/json; charset=utf-8", body: `{"need":"n"}`,
			want: func(s *seen) { s.Need = "n" }},
		"urlencoded": {media: form, body: "need=a+b&count=7&flag=Yes", want: func(s *seen) {
			s.Need, s.Flag = "a b", true
			s.Count = ptr(int64(7))
		}},
		"nested form keys": {media: form, body: "need=n&captcha_response[geetest_challenge]=ch&words[]=a&words[]=b",
			want: func(s *seen) { s.Need, s.Captcha, s.Words = "n", "object ch", []string{"a", "b"} }},
		"multipart with files": {media: "multipart/form-data; boundary=b", body: multi, want: func(s *seen) {
			s.Need, s.Files = "m", []string{"a.txt=AA", "b.txt=BB"}
		}},
		"text where a file belongs": {media: form, body: "need=n&upload[]=x", want: func(s *seen) {
			s.Need, s.Files = "n", []string{"no file"}
		}},
		"base64 in JSON, in each of its spellings": {media: "application/json", want: func(s *seen) {
			s.Need, s.Files = "n", []string{"=a?>", "=a?>", "=a?>", "=a", "image/png=a?>", "=a?>", "no file", "no file", "no file", "no file"}
		}, body: `{"need":"n","upload":["YT8+","YT8-","YT8\u002b","YQ","data:Image/PNG;name=a.png;base64,YT8+","YT\r\n8+\n","YQ=","YQ==YQ",null,{"a":1}]}`},
		"one text, by the name that forms have": {media: "application/json", body: `{"need":"n","upload[]":"YQ=="}`, want: func(s *seen) {
			s.Need, s.Files = "n", []string{"=a"}
		}},
		"a data URI without base64 is no file": {media: form, body: "need=n&upload=data:image/png,YQ==", want: func(s *seen) {
			s.Need, s.Files = "n", []string{"no file"}
		}},
		"an empty data URI is an empty file": {media: form, body: "need=n&upload=data:%3Bbase64,", want: func(s *seen) {
			s.Need, s.Files = "n", []string{"="}
		}},
		"the query": {query: "&need=q&ordering=desc", want: func(s *seen) { s.Need, s.Order = "q", "desc" }},
		"the body overrides the query": {query: "&need=q", media: form, body: "need=b",
			want: func(s *seen) { s.Need = "b" }},
		"the path overrides both": {query: "&need=q&key=q", body: `{"key":"b"}`,
			want: func(s *seen) { s.Need = "q" }},
		"of equal keys the last wins": {query: "&need=1&need=2", want: func(s *seen) { s.Need = "2" }},
		"numbers and booleans are text for a string": {body: `{"need":12.50,"scope":true}`, want: func(s *seen) {
			s.Need = "12.50"
			s.Scope = ptr("true")
		}},
		"a secret in the query is not read (D19)": {query: "&need=n&password=p",
			want: func(s *seen) { s.Need = "n" }},
		"a secret in the body is": {body: `{"need":"n","password":"p"}`,
			want: func(s *seen) { s.Need, s.Password = "n", "p" }},
		"unknown parameters are ignored": {body: `{"need":"n","id":1,"user_id":{"a":[1]}}`,
			want: func(s *seen) { s.Need = "n" }},
		"a top level that is no object has no parameters": {query: "&need=q", body: `[1,2]`,
			want: func(s *seen) { s.Need = "q" }},
		"empty integers, booleans and dates are null": {media: form, body: "need=n&count=&flag=&day=&page=&limit=",
			want: func(s *seen) { s.Need = "n" }},
		"JSON null is null": {body: `{"need":"n","count":null,"words":null,"ordering":null}`,
			want: func(s *seen) { s.Need = "n" }},
		"dates in both spellings": {body: `{"need":"n","day":"31-12-2020"}`,
			want: func(s *seen) { s.Need, s.Day = "n", "2020-12-31" }},
		"lenient text takes anything": {body: `{"need":"n","loose":{"a":1}}`,
			want: func(s *seen) { s.Need = "n" }},
		"a body of spaces": {query: "&need=q", body: "  \n", want: func(s *seen) { s.Need = "q" }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				a := client(t).Send(t, method, thing+"?code=1"+test.query, test.media, test.body)
				want := seen{Key: "k1", Code: "1", Order: "asc", Words: []string{}, Files: []string{}, Page: 1, Limit: 100}
				test.want(&want)
				if a.Status != 200 {
					t.Fatalf("%s: got %d %s", method, a.Status, a.Body)
				}
				var got seen
				a.Into(t, &got)
				expect.Equal(t, got, want)
			}
		})
	}
}

func TestBindingProblems(t *testing.T) {
	for name, test := range map[string]struct {
		query, body string
		status      int
		tokens      []string
	}{
		"absent required parameters, in order of declaration: 400 (D2)": {
			"", ``, 400, []string{"resource.thing.missing_need", "resource.thing.empty_need", "own.missing"}},
		"a blank required parameter: 400 (D2)": {
			"code=1", `{"need":" \t"}`, 400, []string{"resource.thing.empty_need"}},
		"a null required parameter: 400 (D2)": {
			"code=1", `{"need":null}`, 400, []string{"resource.thing.empty_need"}},
		"an invalid value: 422": {
			"code=1", `{"need":"n","count":"1.5"}`, 422, []string{"invalid"}},
		"absent and invalid at once: 422 with all (D2)": {
			"", `{"need":"n","ordering":"up"}`, 422, []string{"own.missing", "own.ordering"}},
		"a blank optional parameter: 422": {
			"code=1", `{"need":"n","scope":" "}`, 422, []string{"resource.thing.empty_scope"}},
		"duplicates are removed": {
			"code=1", `{"need":"n","count":"x","flag":"x","day":"x"}`, 422, []string{"invalid"}},
		"an array for a string": {
			"code=1", `{"need":["n"]}`, 422, []string{"invalid"}},
		"an empty array for a required string breaks type and blank": {
			"code=1", `{"need":[]}`, 422, []string{"invalid", "resource.thing.empty_need"}},
		"an own token for a type": {
			"code=1", `{"need":"n","captcha_response":[1]}`, 422, []string{"own.captcha"}},
		"a type error does not stop the rule on values (identity 3.3)": {
			"code=1&page=1a&limit=z", `{"need":"n"}`, 422,
			[]string{"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		"page zero": {
			"code=1&page=0", `{"need":"n"}`, 422, []string{"non_positive_page"}},
		"limit above 100 is refused, not clamped (D17)": {
			"code=1&limit=101", `{"need":"n"}`, 422, []string{"invalid_limit"}},
		"booleans in mixed case": {
			"code=1", `{"need":"n","flag":"tRUE"}`, 422, []string{"invalid"}},
		"NUL in text": {
			"code=1", `{"need":"a\u0000b"}`, 422, []string{"invalid"}},
		"a blank value outside an enumeration": {
			"code=1", `{"need":"n","ordering":""}`, 422, []string{"own.ordering"}},
		"malformed JSON": {
			"code=1", `{"need":`, 400, []string{"server.invalid_json"}},
		"two JSON values": {
			"code=1", `{"need":"n"} {}`, 400, []string{"server.invalid_json"}},
		"malformed query": {
			"code=%zz", `{"need":"n"}`, 400, []string{"server.invalid_query"}},
		"a secret in the query where only the body may have it counts as absent": {
			"code=1&password=p", `{}`, 400, []string{"resource.thing.missing_need", "resource.thing.empty_need"}},
	} {
		t.Run(name, func(t *testing.T) {
			client(t).Send(t, "POST", thing+"?"+test.query, "", test.body).
				WantTokens(t, test.status, test.tokens...)
		})
	}
}

func TestBodies(t *testing.T) {
	c := client(t)
	c.Send(t, "POST", thing, "text/plain", "x").
		Want(t, 415, `{"error":"The provided content-type 'text/plain' is not supported."}`)
	c.Send(t, "DELETE", "/api/v2/resource/things", "text/plain", "").Want(t, 204, "")
	c.Send(t, "POST", thing, "application/x-www-form-urlencoded", "a=%zz").WantTokens(t, 400, "server.invalid_form")
	c.Send(t, "POST", thing, "multipart/form-data; boundary=b", "--b\r\nnonsense").WantTokens(t, 400, "server.invalid_form")
	c.Send(t, "POST", thing, "multipart/form-data", "x").WantTokens(t, 400, "server.invalid_form")
	big := `{"need":"` + strings.Repeat("a", 1<<20) + `"}`
	c.Send(t, "POST", thing, "", big).WantTokens(t, 413, "server.body_too_large")
	c.Send(t, "POST", thing, "application/x-www-form-urlencoded", big).WantTokens(t, 413, "server.body_too_large")
}

func TestGuardRunsBeforeParameters(t *testing.T) {
	client(t).With("X-Refuse", "1").Send(t, "POST", thing, "text/plain", "junk").
		WantTokens(t, 401, "jwt.decode_and_verify")
}

func TestFailures(t *testing.T) {
	for how, test := range map[string]struct {
		status int
		body   string
		logged string
	}{
		"":       {201, `201`, ""},
		"locked": {429, `{"errors":["resource.thing.too_many_requests"]}`, ""},
		"gone":   {422, `{"error":"Connection error"}`, ""},
		"rules":  {422, `{"errors":["kid.blank","algorithm.inclusion"]}`, ""},
		"outage": {503, `{"errors":["server.internal_error"]}`, "10.1.2.3"},
		"driver": {503, `{"errors":["server.internal_error"]}`, "unexpected EOF"},
		"slow":   {503, `{"errors":["server.internal_error"]}`, "deadline"},
		"bug":    {500, `{"errors":["server.internal_error"]}`, "secret detail"},
		"panic":  {500, `{"errors":["server.internal_error"]}`, "secret detail"},
	} {
		t.Run("how="+how, func(t *testing.T) {
			var log strings.Builder
			c := resttest.New(t, newServer(t, &log, nil)).With("X-Request-Id", "req-1")
			a := c.JSON(t, "POST", "/api/v2/resource/things?how="+how+"&token=hidden", nil)
			a.Want(t, test.status, test.body)
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			want := 1
			if test.logged != "" {
				want = 2
				if !strings.Contains(lines[0], test.logged) || !strings.Contains(lines[0], `"request_id":"req-1"`) {
					t.Errorf("log: got %s, want %q and the request id", lines[0], test.logged)
				}
			}
			if len(lines) != want {
				t.Errorf("log lines: got %d, want %d: %s", len(lines), want, log.String())
			}
			if refused := strings.Contains(lines[len(lines)-1], `"error":"`); refused != (test.status >= 400) {
				t.Errorf("log: got %s, want the error of a refusal", lines[len(lines)-1])
			}
			if strings.Contains(log.String(), "hidden") {
				t.Errorf("D19: the log holds a query value: %s", log.String())
			}
		})
	}
	a := client(t).JSON(t, "POST", "/api/v2/resource/things", map[string]any{"how": "locked"})
	if got := a.Header.Get("Retry-After"); a.Status != 429 || got != "2" {
		t.Errorf("got %d, Retry-After %q, want 429 and 2", a.Status, got)
	}
}
