package rest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"barong/internal/expect"
	"barong/internal/param"
)

// small is a sieve that keeps texts of four bytes in memory, and its spool.
func small(t testing.TB) *sieve {
	s := newSieve(&spool{dir: t.TempDir()}, 1<<20)
	s.most = 4
	t.Cleanup(s.spool.close)
	return s
}

// wholeTree puts the texts of a tree from the spool into their places. Texts that no file is written with
// are "?".
func wholeTree(t testing.TB, tree map[string]any) map[string]any {
	t.Helper()
	one := func(v any) any {
		if long, ok := v.(longText); ok {
			v = string(expect.Must(io.ReadAll(long))(t))
		}
		if text, ok := v.(string); ok && strings.ContainsFunc(text, func(c rune) bool { return c >= 0x80 }) {
			return "?"
		}
		return v
	}
	for key, v := range tree {
		if list, ok := v.([]any); ok {
			for i := range list {
				list[i] = one(list[i])
			}
			continue
		}
		tree[key] = one(v)
	}
	return tree
}

// narrow takes the parts out of a tree that a sieve may change: texts inside objects and lists of lists, and
// long names.
func narrow(tree map[string]any) map[string]any {
	for key, v := range tree {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, one := range list {
			switch one.(type) {
			case []any, map[string]any:
				tree[key] = nil
			}
		}
		if len(key) > 4 || strings.ContainsFunc(key, func(c rune) bool { return c >= 0x80 }) {
			delete(tree, key)
		}
	}
	return tree
}

// A sieve reads every JSON text as the reader of short ones does.
func FuzzJSONInParts(f *testing.F) {
	f.Add(`{"a":"longer than four","b":["x\/y\u002b\n","aé",1,null,{"c":"abcdef"}],"abcdef":"\"\\\\"}`)
	f.Add(`{"a":"abcde\`)
	f.Add(`{"a":"abcde\u00"}`)
	f.Add("{\"a\":\"abcde\x01\"}")
	f.Add(`["abcdefgh"]`)
	f.Add(`{"a":"\ud83d\ude00 abc"}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := small(t).json(bufio.NewReader(strings.NewReader(text)))
		want, failed := param.JSON([]byte(text))
		if (err == nil) != (failed == nil) {
			t.Fatalf("%q: %v, want %v", text, err, failed)
		}
		if err != nil {
			return
		}
		if got, want := narrow(wholeTree(t, got)), narrow(wholeTree(t, want)); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}

// So it does with urlencoded bodies.
func FuzzFormInParts(f *testing.F) {
	f.Add("a=longer+than%2Ffour&b[]=x&b[]=abcdef%3d&a=abcdefghijk&c")
	f.Add("a=abcde%2")
	f.Add("a=abcde;f&b=;")
	f.Add("=abcdef&&a==abcdef=")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := small(t).form(bufio.NewReader(strings.NewReader(text)))
		want, failed := param.Form(text)
		if (err == nil) != (failed == nil) {
			t.Fatalf("%q: %v, want %v", text, err, failed)
		}
		if err != nil {
			return
		}
		if got, want := narrow(wholeTree(t, got)), narrow(wholeTree(t, want)); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}

// And with multipart bodies, which the standard library reads at once.
func FuzzMultipartInParts(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"a\""
	f.Add(head + "\r\n\r\nlonger than four\r\n" + head + "; filename=\"x.png\"\r\n\r\nfile\r\n--b--\r\n")
	f.Add(head + "; filename=\"../x\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41=\r\n--b--")
	f.Add("preamble\r\n--b\r\n\r\nnameless\r\n--b--")
	f.Add(head + "\r\n\r\nbroken off")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := small(t).multipart(strings.NewReader(text), "b")
		form, failed := multipart.NewReader(strings.NewReader(text), "b").ReadForm(1 << 20)
		if err != nil {
			return // its bounds are narrower
		}
		if failed != nil {
			t.Fatalf("%q is read, though %v", text, failed)
		}
		defer form.RemoveAll()
		files, want := 0, 0
		for _, v := range got {
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, one := range list {
				if f, ok := one.(File); ok {
					files++
					expect.Must(io.ReadAll(f.Content))(t)
				}
			}
		}
		for key := range form.File {
			if key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz") == "" {
				want++ // the last of them
			}
		}
		if files < want {
			t.Errorf("%q: %d files, want %d", text, files, want)
		}
	})
}

// naive is the file of a text, by the standard library alone.
func naive(text string) (media string, content []byte, ok bool) {
	rest, uri := text, len(text) >= 5 && strings.EqualFold(text[:5], "data:")
	if uri {
		before, after, found := strings.Cut(text, ",")
		words := strings.Split(before[5:], ";")
		if !found || len(before) >= maxURIHead || len(words) < 2 || !strings.EqualFold(strings.TrimSpace(words[len(words)-1]), "base64") {
			return "", nil, false
		}
		media, rest = strings.ToLower(strings.TrimSpace(words[0])), after
	}
	rest = strings.NewReplacer("\r", "", "\n", "", "-", "+", "_", "/").Replace(rest)
	encoding := base64.RawStdEncoding
	if strings.Contains(rest, "=") {
		encoding = base64.StdEncoding
	}
	content, err := encoding.Strict().DecodeString(rest)
	return media, content, err == nil && (uri || len(content) > 0)
}

// A text is a file exactly if it is base64, alone or in a data URI, wherever it is kept.
func FuzzFileText(f *testing.F) {
	for _, text := range []string{
		"", "x", "YQ", "YQ==", "YQ=", "YR==", "Y\r\nQ==\n", "_-+/", "YQ==YQ==", "YQ= =", "data:,", "data:;base64,", "data:;base64,YQ", "DATA:image/png;a=b;BASE64,YQ==",
		"data:image/png,YQ==", "data:image/png;base64;a=b,YQ", "YQ YQ", "====", "data:" + strings.Repeat("a", 1100) + ";base64,YQ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &spool{dir: t.TempDir()}
		defer s.close()
		media, want, ok := naive(text)
		read := func(raw any) {
			got, err := s.fileOf(raw)
			expect.OK(t, err)
			if (got.Content != nil) != ok {
				t.Fatalf("%q is a file: %v, want %v", text, got.Content != nil, ok)
			}
			if ok && (got.Media != media || !bytes.Equal(expect.Must(io.ReadAll(got.Content))(t), want)) {
				t.Errorf("%q: another file", text)
			}
		}
		read(text)
		long := expect.Must(s.take(strings.NewReader(text)))(t)
		read(longText{long})
	})
}

// The parts of a body that stay in memory are bounded, and so are the headers of its parts.
func TestTextsInMemoryAreBounded(t *testing.T) {
	many := strings.Repeat(strings.Repeat("x", 1000)+"&", 100)
	quoted, err := json.Marshal(strings.Split(many, "&"))
	expect.OK(t, err)
	part := "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat("x", 1000) + "\r\n"
	for name, read := range map[string]func(*sieve) error{
		"JSON": func(s *sieve) error {
			_, err := s.json(bufio.NewReader(bytes.NewReader(append(append([]byte(`{"a":`), quoted...), '}'))))
			return err
		},
		"a form": func(s *sieve) error {
			_, err := s.form(bufio.NewReader(strings.NewReader("a=" + url.QueryEscape("x") + "&" + strings.ReplaceAll(many, "&", "&a="))))
			return err
		},
		"multipart": func(s *sieve) error {
			_, err := s.multipart(strings.NewReader(strings.Repeat(part, 100)+"--b--"), "b")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for room, want := range map[int64]error{50_000: tooLarge, 200_000: nil} {
				s := newSieve(&spool{dir: t.TempDir()}, room)
				if err := read(s); !sameRefusal(err, want) {
					t.Errorf("room for %d bytes: %v, want %v", room, err, want)
				}
				s.spool.close()
			}
		})
	}
	for name, text := range map[string]string{
		"a header of a part": "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nX: " + strings.Repeat("x", 2*maxPartHead) + "\r\n\r\n\r\n--b--",
		"too many parts":     strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n", maxParts+1) + "--b--",
	} {
		if _, err := small(t).multipart(strings.NewReader(text), "b"); !sameRefusal(err, tooLarge) {
			t.Errorf("%s: %v, want %v", name, err, tooLarge)
		}
	}
}

func sameRefusal(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return err != nil && reflect.DeepEqual(unreadable(err, ""), want)
}
