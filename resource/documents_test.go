package resource_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/rest/resttest"
)

const (
	documents = base + "/documents"
	addresses = base + "/addresses"
)

// photo is a small JPEG, with more bytes behind its end.
func photo(t testing.TB, more int) []byte {
	t.Helper()
	var b bytes.Buffer
	expect.OK(t, jpeg.Encode(&b, image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black}), nil))
	return append(b.Bytes(), make([]byte, more)...)
}

// vast is the beginning of a PNG of 60,000 by 60,000.
func vast() []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), 60_000), 60_000)
	head = append(head, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...), crc32.ChecksumIEEE(head))
}

// file is an uploaded file.
type file struct {
	name    string
	content []byte
}

// post sends pairs of a name and a value and files, as the public front end does.
func post(t testing.TB, c *resttest.Client, path string, pairs []string, files ...file) resttest.Answer {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		expect.OK(t, w.WriteField(pairs[i], pairs[i+1]))
	}
	for _, f := range files {
		part := expect.Must(w.CreateFormFile("upload[]", f.name))(t)
		expect.Must(part.Write(f.content))(t)
	}
	expect.OK(t, w.Close())
	return c.Send(t, "POST", path, w.FormDataContentType(), b.String())
}

// passport is one as the front end sends it, without pairs of the names given.
func passport(without ...string) (pairs []string) {
	all := []string{
		"doc_type", "Passport", "doc_number", "AA1234BB", "doc_expire", "07/08/2031", "doc_issue", "05/06/2020",
		"identificator", "0123456789abcdef0123456789abcdef", "doc_category", "front_side", "something_new", "x",
	}
	for i := 0; i < len(all); i += 2 {
		if !slices.Contains(without, all[i]) {
			pairs = append(pairs, all[i], all[i+1])
		}
	}
	return pairs
}

// A page sends the three files of a document at the same time, each in a request of its own.
func TestTheFrontEndUploadsADocument(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	c.Get(t, documents).Want(t, 200, `[]`)
	var wg sync.WaitGroup
	answers := make(chan resttest.Answer, 3)
	jpg := photo(t, 0)
	for _, category := range []string{"front_side", "back_side", "selfie"} {
		wg.Go(func() {
			answers <- post(t, c, documents, append(passport("doc_type", "doc_category"), "doc_type", "Driver license", "doc_category", category),
				file{category + ".jpg", jpg})
		})
	}
	wg.Wait()
	for range 3 {
		a := <-answers
		a.Want(t, 201, `201`)
	}
	var list []struct {
		Upload struct {
			URL string `json:"url"`
		}
		Type      string `json:"doc_type"`
		Number    string `json:"doc_number"`
		Expires   string `json:"doc_expire"`
		Metadata  *string
		CreatedAt string `json:"created_at"`
	}
	c.Get(t, documents).Into(t, &list)
	rows := expect.Must(w.DB.Documents(t.Context(), me))(t)
	if len(list) != 3 || len(rows) != 3 {
		t.Fatalf("%d documents, %d rows", len(list), len(rows))
	}
	for i, d := range list {
		expect.Equal(t, []any{d.Type, d.Number, d.Expires, d.Metadata == nil, d.CreatedAt}, []any{"Driver license", "AA****BB", "2031-08-07", true, "2026-11-21T08:00:00Z"})
		expect.Equal(t, []any{*rows[i].Issued, rows[i].Identificator}, []any{"2020-06-05", "0123456789abcdef0123456789abcdef"})
		file := w.Client().Get(t, d.Upload.URL)
		if file.Status != 200 || file.Body != string(jpg) {
			t.Errorf("%s: %d, %d bytes", d.Upload.URL, file.Status, len(file.Body))
		}
		for name, want := range map[string]string{
			"Content-Type": "image/jpeg", "Content-Disposition": "attachment; filename=" + *rows[i].Category + ".jpg",
			"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		} {
			expect.Equal(t, file.Header.Get(name), want)
		}
	}
	l := expect.Must(w.DB.Label(t.Context(), me, "document", account.ScopePrivate))(t)
	expect.Equal(t, l.Value, "pending")
	w.As(stranger).Get(t, documents).Want(t, 200, `[]`)
	var told []string
	for _, e := range w.News() {
		told = append(told, e.Name)
		if strings.Contains(string(e.Record), "AA1234BB") {
			t.Errorf("%s holds the number of the document", e.Name)
		}
	}
	slices.Sort(told)
	expect.Equal(t, told, []string{"model.document.created", "model.document.created", "model.document.created", "model.label.created"})
	expect.Equal(t, w.Deeds(me), []string{"account document create succeed", "account document create succeed", "account document create succeed"})
}

func TestDocumentRefusals(t *testing.T) {
	w := newWorld(t)
	w.Account.Unlimited = true
	w.Account.Scanner = persontest.Scanner(func(content []byte) error {
		if bytes.Contains(content, []byte("EICAR")) {
			return person.ErrInfected
		}
		return nil
	})
	w.Restart()
	c := w.mine()
	jpg := photo(t, 0)
	good, long := file{"a.jpg", jpg}, strings.Repeat("x", 65_536)
	refused := func(extension string) []string {
		return []string{`upload.You are not allowed to upload "` + extension + `" files, allowed types: jpg, jpeg, png, pdf`, "upload.blank"}
	}
	with := func(without string, pairs ...string) []string { return append(passport(without), pairs...) }
	for name, test := range map[string]struct {
		pairs  []string
		files  []file
		status int
		tokens []string
	}{
		"no type":              {passport("doc_type"), []file{good}, 400, []string{"resource.document.missing_doc_type", "resource.document.empty_doc_type"}},
		"a blank type":         {with("doc_type", "doc_type", " "), []file{good}, 400, []string{"resource.document.empty_doc_type"}},
		"a type of nobody's":   {with("doc_type", "doc_type", "passport"), []file{good}, 422, []string{"doc_type.inclusion"}},
		"no number":            {passport("doc_number"), []file{good}, 400, []string{"resource.document.missing_doc_number", "resource.document.empty_doc_number"}},
		"a strange number":     {with("doc_number", "doc_number", "12_3"), []file{good}, 422, []string{"doc_number.invalid"}},
		"a long number":        {with("doc_number", "doc_number", strings.Repeat("1", 129)), []file{good}, 422, []string{"doc_number.too_long"}},
		"no file":              {passport(), nil, 400, []string{"resource.document.missing_upload"}},
		"text for a file":      {with("", "upload[]", "text"), nil, 422, []string{"upload.blank"}},
		"a text file":          {passport(), []file{{"a.txt", jpg}}, 422, refused("txt")},
		"a program":            {passport(), []file{{"a.png", append([]byte("MZ"), make([]byte, 99)...)}}, 422, refused("exe")},
		"an empty file":        {passport(), []file{{"a.jpg", nil}}, 422, []string{"upload.File size should be greater than 1 Byte", "upload.blank"}},
		"a large file":         {passport(), []file{{"a.jpg", photo(t, 10<<20)}}, 422, []string{"upload.File size should be less than 10 MB", "upload.blank"}},
		"another kind":         {passport(), []file{{"a.png", jpg}}, 422, []string{"upload.invalid"}},
		"a vast picture":       {passport(), []file{{"a.png", vast()}}, 422, []string{"upload.too_many_pixels"}},
		"an infected file":     {passport(), []file{good, {"b.jpg", append(slices.Clone(jpg), "EICAR"...)}}, 422, []string{"upload.infected"}},
		"no day of expiry":     {passport("doc_expire"), []file{good}, 422, []string{"resource.documents.invalid_format"}},
		"a blank one":          {with("doc_expire", "doc_expire", ""), []file{good}, 422, []string{"resource.documents.invalid_format"}},
		"an expired document":  {with("doc_expire", "doc_expire", "2026-11-20"), []file{good}, 422, []string{"resource.documents.already_expired"}},
		"no day at all":        {with("doc_expire", "doc_expire", "blah"), []file{good}, 422, []string{"resource.documents.expire_not_a_date"}},
		"no day of issue":      {with("doc_issue", "doc_issue", "31/31/2020"), []file{good}, 422, []string{"resource.documents.issue_not_a_date"}},
		"another category":     {with("doc_category", "doc_category", "top"), []file{good}, 422, []string{"resource.documents.doc_category"}},
		"a long identificator": {with("identificator", "identificator", strings.Repeat("x", 256)), []file{good}, 422, []string{"identificator.too_long"}},
		"metadata that is none": {with("", "metadata", "{ bar: baz }"), []file{good}, 422,
			[]string{"metadata.invalid_format"}},
		"long metadata": {with("", "metadata", `"`+long+`"`), []file{good}, 422, []string{"metadata.too_long"}},
		"very long metadata": {with("", "metadata", `"`+strings.Repeat(long, 8)+`"`), []file{good}, 422,
			[]string{"metadata.invalid_format"}},
		"eleven files": {passport(), []file{good, good, good, good, good, good, good, good, good, good, good}, 400,
			[]string{"resource.documents.limit_will_be_reached"}},
		"a type of bytes": {with("doc_type", "doc_type", "a\x00b"), []file{good}, 422, []string{"invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			post(t, c, documents, test.pairs, test.files...).WantTokens(t, test.status, test.tokens...)
			if rows := expect.Must(w.DB.Documents(t.Context(), me))(t); len(rows) > 0 {
				t.Errorf("%d documents are stored", len(rows))
			}
		})
	}
	w.Account.Documents = func(r *person.DocumentRules) { r.Most = 1 }
	w.Restart()
	post(t, w.mine(), documents, passport(), good).Want(t, 201, `201`)
	post(t, w.mine(), documents, passport(), good).WantTokens(t, 400, "resource.documents.limit_will_be_reached")
	w.Account.Documents = func(r *person.DocumentRules) { r.Most = 0 }
	w.Restart()
	post(t, w.mine(), documents, passport(), good).WantTokens(t, 400, "resource.documents.limit_reached")
}

// Files come as base64, too: one or a list, in every kind of body.
func TestDocumentsInBase64(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	text := base64.StdEncoding.EncodeToString(photo(t, 0))
	body := func(upload any) map[string]any {
		return map[string]any{"doc_type": "Passport", "doc_number": "AA1234BB", "doc_expire": "2031-08-07", "upload": upload, "metadata": `{"a":1}`}
	}
	c.JSON(t, "POST", documents, body(text)).Want(t, 201, `201`)
	c.JSON(t, "POST", documents, body([]string{text, "data:image/jpeg;base64," + text})).Want(t, 201, `201`)
	c.Form(t, "POST", documents, form(append(passport(), "upload[]", text)...)).Want(t, 201, `201`)
	post(t, c, documents, append(passport(), "upload[]", "data:image/jpeg;base64,"+text)).Want(t, 201, `201`)
	c.JSON(t, "POST", documents, body([]any{text, "not base64!"})).WantTokens(t, 422, "upload.blank")
	c.JSON(t, "POST", documents, body([]any{})).WantTokens(t, 422, "upload.blank")
	c.JSON(t, "POST", documents, body(base64.StdEncoding.EncodeToString([]byte("some text, and no picture")))).WantTokens(t, 422, "upload.blank")
	for _, d := range expect.Must(w.DB.Documents(t.Context(), me))(t) {
		expect.Equal(t, []any{d.FileName, d.Media, *d.Expires}, []any{"document.jpg", "image/jpeg", "2031-08-07"})
	}
	rows := expect.Must(w.DB.Documents(t.Context(), me))(t)
	expect.Equal(t, []any{len(rows), *rows[0].Metadata}, []any{5, `{"a":1}`})
}

func TestAddresses(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	bill := file{"bill.pdf", []byte("%PDF-1.7\n")}
	home := []string{"address", "1 Main St.", "city", "", "country", "GB", "postcode", ""}
	post(t, c, addresses, home, bill, bill).Want(t, 201, `201`)
	rows := expect.Must(w.DB.Documents(t.Context(), me))(t)
	if len(rows) != 2 || rows[0].Identificator != rows[1].Identificator || *rows[0].Address != (person.Address{Country: "GB", Address: "1 Main St."}) {
		t.Fatalf("stored %d rows, %#v", len(rows), rows)
	}
	l := expect.Must(w.DB.Label(t.Context(), me, "address", account.ScopePrivate))(t)
	expect.Equal(t, l.Value, "pending")
	_, err := w.DB.Label(t.Context(), me, "document", account.ScopePrivate)
	expect.Error(t, err, account.ErrNoLabel)
	expect.Equal(t, w.Deeds(me), []string{"account address create succeed"})
	var list []struct {
		Type    string  `json:"doc_type"`
		Number  *string `json:"doc_number"`
		Expires *string `json:"doc_expire"`
	}
	c.Get(t, documents).Into(t, &list)
	if len(list) != 2 || list[0].Type != "Address" || list[0].Number != nil || list[0].Expires != nil {
		t.Errorf("listed %+v", list)
	}
	long := strings.Repeat("ä", 256)
	eleven := slices.Repeat([]file{bill}, 11)
	for name, test := range map[string]struct {
		pairs  []string
		files  []file
		status int
		tokens []string
	}{
		"nothing": {nil, []file{bill}, 400, []string{
			"resource.address.missing_country", "resource.address.empty_country", "resource.address.missing_address", "resource.address.empty_address",
			"resource.address.missing_city", "resource.address.missing_postcode",
		}},
		"no file":      {home, nil, 400, []string{"resource.address.missing_upload"}},
		"a blank file": {append(slices.Clone(home), "upload[]", ""), nil, 422, []string{"upload.blank"}},
		"eleven files": {home, eleven, 400, []string{"resource.addresses.limit_reached"}},
		"long texts": {[]string{"address", long, "city", long, "country", long, "postcode", long}, []file{bill}, 422,
			[]string{"country.too_long", "address.too_long", "city.too_long", "postcode.too_long"}},
		"bytes":         {[]string{"address", "\xff", "city", "\xff", "country", "\xff", "postcode", "\xff"}, []file{bill}, 422, []string{"invalid"}},
		"a text file":   {home, []file{{"a.txt", nil}}, 422, []string{`upload.You are not allowed to upload "txt" files, allowed types: jpg, jpeg, png, pdf`, "upload.blank"}},
		"an empty file": {home, []file{{"a.png", nil}}, 422, []string{"upload.File size should be greater than 1 Byte", "upload.blank"}},
		"a large file":  {home, []file{{"a.jpg", photo(t, 10<<20)}}, 422, []string{"upload.File size should be less than 10 MB", "upload.blank"}},
		"another kind":  {home, []file{{"a.png", bill.content}}, 422, []string{"upload.invalid"}},
		"a vast one":    {home, []file{{"a.png", vast()}}, 422, []string{"upload.too_many_pixels"}},
	} {
		t.Run(name, func(t *testing.T) {
			post(t, c, addresses, test.pairs, test.files...).WantTokens(t, test.status, test.tokens...)
		})
	}
}

// What is stored is whole, whichever service is away; what is not leaves nothing.
func TestUploadsWhileAServiceIsAway(t *testing.T) {
	w := newWorld(t)
	var virus error
	w.Account.Scanner = persontest.Scanner(func([]byte) error { return virus })
	w.Restart()
	home, bill := []string{"address", "1 Main St.", "city", "Bath", "country", "GB", "postcode", "1"}, file{"bill.pdf", []byte("%PDF-1.7\n")}
	for path, pairs := range map[string][]string{documents: passport(), addresses: home} {
		virus = errors.New("connection refused")
		post(t, w.mine(), path, pairs, bill).WantTokens(t, 503, "server.internal_error")
		virus = person.ErrInfected
		post(t, w.mine(), path, pairs, bill).WantTokens(t, 422, "upload.infected")
		virus = nil
		w.Files.Fail = func(string, string) error { return errors.New("no route to the bucket") }
		post(t, w.mine(), path, pairs, bill).Want(t, 422, `{"error":"Connection error"}`)
		w.Files.Fail = nil
		w.Faults.Fail(apitest.ErrOutage, "Seal")
		post(t, w.mine(), path, pairs, bill).WantTokens(t, 503, "server.internal_error")
		w.Faults.Fail(nil, "Seal")
	}
	expect.Equal(t, len(expect.Must(w.DB.Documents(t.Context(), me))(t)), 0)
	expect.OK(t, w.Files.Names(t.Context(), func(name string, _ time.Time) bool { t.Errorf("%s is left", name); return true }))
	expect.Equal(t, slices.Sorted(slices.Values(w.Deeds(me))), []string{`account address create failed {"reason":"infected"}`, `account document create failed {"reason":"infected"}`})
}

// nowhere keeps nothing of a file, and so needs no memory for it.
type nowhere struct{ person.Files }

func (nowhere) Put(_ context.Context, _, _ string, _ int64, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// A file of ten megabytes costs eight of memory at most from the first byte to the last.
func TestAnUploadIsNotInMemory(t *testing.T) {
	w := newWorld(t)
	w.Account.Files = nowhere{w.Files}
	w.REST.Spool = t.TempDir()
	w.Restart()
	jpg := photo(t, 0)
	jpg = append(jpg, make([]byte, 10<<20-len(jpg))...)
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for pairs := passport(); len(pairs) > 0; pairs = pairs[2:] {
		expect.OK(t, m.WriteField(pairs[0], pairs[1]))
	}
	part := expect.Must(m.CreateFormFile("upload[]", "a.jpg"))(t)
	expect.Must(part.Write(jpg))(t)
	expect.OK(t, m.Close())
	text := `{"doc_type":"Passport","doc_number":"1","doc_expire":"2031-08-07","upload":"` + base64.StdEncoding.EncodeToString(jpg) + `"}`
	s := w.Server()
	for name, body := range map[string]struct{ media, text string }{"a file": {m.FormDataContentType(), b.String()}, "base64": {"application/json", text}} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", documents, strings.NewReader(body.text))
			r.Header.Set("Content-Type", body.media)
			r.Header.Set("Authorization", w.Bearer(me))
			answer := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.ServeHTTP(answer, r)
			runtime.ReadMemStats(&after)
			if answer.Code != http.StatusCreated {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			used := after.TotalAlloc - before.TotalAlloc // all of it, collected or not
			t.Logf("%d kB", used>>10)
			if used > 8<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}
