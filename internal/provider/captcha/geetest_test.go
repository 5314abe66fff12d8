package captcha_test

import (
	"crypto/md5"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	domain "barong/internal/captcha"
	"barong/internal/provider/captcha"
)

func newGeeTest(t testing.TB, f *fake) *captcha.GeeTest {
	t.Helper()
	g, err := captcha.NewGeeTest(captcha.GeeTestConfig{ID: "our id", Key: "hunter2", Address: f.URL + "/"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func digest(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }

// proof is the widget's response for a solved challenge.
func proof(challenge, seccode string) domain.Response {
	return domain.Response{Fields: map[string]string{
		"geetest_challenge": challenge, "geetest_validate": digest("hunter2geetest" + challenge),
		"geetest_seccode": seccode,
	}}
}

// A solved challenge is good, and each fault has its error.
func TestGeeTestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"the digest of the code passes":     {200, digest("sec|jordan"), nil},
		"a line end does not matter":        {200, digest("sec|jordan") + "\n", nil},
		"false is a no":                     {200, "false", domain.ErrFailed},
		"another digest is a no":            {200, digest("other"), domain.ErrFailed},
		"the digest in capitals is not it":  {200, strings.ToUpper(digest("sec|jordan")), errOutage},
		"nothing is not an answer":          {200, "", errOutage},
		"a page is not an answer":           {200, "<html>", errOutage},
		"an endless answer is none":         {200, strings.Repeat("a", 20_000), errOutage},
		"status 500 never passes":           {500, digest("sec|jordan"), errOutage},
		"a redirect is not followed":        {302, digest("sec|jordan"), errOutage},
		"a no with a wrong status is no no": {404, "false", errOutage},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.answers(c.status, c.body)
			err := newGeeTest(t, f).Verify(t.Context(), proof("chal", "sec|jordan"))
			if got := kindOf(err); got != c.want { //nolint:errorlint // classes
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("the error holds the key: %v", err)
			}
			want := []call{{"POST", "/validate.php", "", url.Values{
				"seccode": {"sec|jordan"}, "challenge": {"chal"}, "captchaid": {"our id"},
			}}}
			if d := cmp.Diff(want, f.asked(), cmp.AllowUnexported(call{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestGeeTestRefusesWithoutAsking(t *testing.T) {
	f := newFake(t)
	g := newGeeTest(t, f)
	with := func(name, value string) domain.Response {
		r := proof("chal", "sec")
		r.Fields[name] = value
		return r
	}
	without := func(name string) domain.Response {
		r := proof("chal", "sec")
		delete(r.Fields, name)
		return r
	}
	for name, c := range map[string]struct {
		response domain.Response
		want     error
	}{
		"nothing":                   {domain.Response{}, domain.ErrRequired},
		"blanks":                    {domain.Response{Text: "  "}, domain.ErrRequired},
		"a plain text":              {domain.Response{Text: "abc"}, domain.ErrFields},
		"an object without texts":   {domain.Response{Fields: map[string]string{}}, domain.ErrFields},
		"no challenge":              {without("geetest_challenge"), domain.ErrFields},
		"no validate":               {without("geetest_validate"), domain.ErrFields},
		"no seccode":                {without("geetest_seccode"), domain.ErrFields},
		"an empty seccode":          {with("geetest_seccode", ""), domain.ErrFailed},
		"a validate of another key": {with("geetest_validate", digest("othergeetestchal")), domain.ErrFailed},
		"a validate in capitals":    {with("geetest_validate", strings.ToUpper(digest("hunter2geetestchal"))), domain.ErrFailed},
		"another challenge":         {with("geetest_challenge", "chal2"), domain.ErrFailed},
		"a long seccode":            {with("geetest_seccode", strings.Repeat("s", 4001)), domain.ErrFailed},
		"a long challenge":          {proof(strings.Repeat("c", 4001), "sec"), domain.ErrFailed},
	} {
		if err := g.Verify(t.Context(), c.response); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if got := f.asked(); len(got) != 0 {
		t.Errorf("asked %v, want nothing", got)
	}
}

// A registration answers the provider's text, or the empty one.
func TestGeeTestRegister(t *testing.T) {
	raw := digest("a raw challenge")
	for name, c := range map[string]struct {
		status int
		body   string
		want   domain.Challenge
	}{
		"a challenge is sealed with the key": {200, raw + "\n", domain.Challenge{ID: "our id", Challenge: digest(raw + "hunter2")}},
		"0 is a refusal":                     {200, "0", domain.Challenge{}},
		"nothing is none":                    {200, "", domain.Challenge{}},
		"a page is none":                     {200, strings.Repeat("<", 32), domain.Challenge{}},
		"an error is none":                   {500, raw, domain.Challenge{}},
		"a redirect is not followed":         {302, raw, domain.Challenge{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.answers(c.status, c.body)
			got, err := newGeeTest(t, f).Register(t.Context())
			if got != c.want || (err == nil) != (c.want != domain.Challenge{}) {
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
			asked := f.asked()
			if len(asked) != 1 || asked[0].method != http.MethodGet || asked[0].path != "/register.php" || asked[0].query != "gt=our+id" {
				t.Errorf("asked %v, want GET /register.php?gt=our+id", asked)
			}
		})
	}
}
