package captcha_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/captcha"
)

func TestResponseOf(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		object map[string]any
		want   captcha.Response
	}{
		"nothing is nothing":                 {"", nil, captcha.Response{}},
		"a text stays":                       {"abc", nil, captcha.Response{Text: "abc"}},
		"an empty object is nothing":         {"", map[string]any{}, captcha.Response{}},
		"members that are texts stay":        {"", map[string]any{"a": "b", "c": 1.0, "d": nil}, captcha.Response{Fields: map[string]string{"a": "b"}}},
		"an object without texts is not nil": {"", map[string]any{"a": []any{"b"}}, captcha.Response{Fields: map[string]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, captcha.ResponseOf(c.text, c.object)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestResponsesStayOutOfLogs(t *testing.T) {
	r := captcha.Response{Text: "hunter2", Fields: map[string]string{"a": "hunter2"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, r); strings.Contains(got, "hunter2") {
			t.Errorf("%s shows %q", format, got)
		}
	}
}

func TestGateNamesUnknownEndpoints(t *testing.T) {
	if err := (captcha.Gate{Protected: captcha.Endpoints()}).Validate(); err != nil {
		t.Error(err)
	}
	err := captcha.Gate{Protected: []string{"session_create", "users", "x"}}.Validate()
	if err == nil || !strings.Contains(err.Error(), `"users"`) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("got %v, want both names", err)
	}
}
