package identity_test

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/internal/expect"
	proofs "barong/internal/person"
	"barong/internal/secret"
	"barong/internal/view"
)

// A link opens its own file, for a minute, and nothing else does.
func TestLinksToDocuments(t *testing.T) {
	w := newWorld(t)
	u := w.user("trader@barong.io", 1)
	persons := func() *proofs.Service { w.Server(); return w.Identity.Persons }
	add := func(text string) proofs.Document {
		t.Helper()
		id := secret.UUID()
		d := proofs.Document{
			ID: id, UserUID: u.UID, Type: "Passport", Identificator: "a", File: u.UID + "/" + id + "/" + secret.Hex(8), FileName: "Zoë.pdf", Media: "application/pdf",
			Size: int64(len(text)),
		}
		expect.OK(t, w.DB.AddDocument(t.Context(), &d))
		expect.OK(t, w.Files.Put(t.Context(), d.File, d.Media, d.Size, strings.NewReader(text)))
		return d
	}
	one, two := add("%PDF-one"), add("%PDF-two")
	link := func(d proofs.Document) string { return view.FileOf(persons().Link(d)).URL }
	c := w.Client()
	for _, prefix := range c.Prefixes() {
		a := c.Get(t, prefix+strings.TrimPrefix(link(one), "/api/v2/barong"))
		if a.Status != 200 || a.Body != "%PDF-one" || a.Header.Get("Content-Type") != "application/pdf" ||
			!strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment; filename*=utf-8''Zo%C3%AB.pdf") {
			t.Errorf("%d %q %v", a.Status, a.Body, a.Header)
		}
	}
	c.Get(t, link(two)).Want(t, 200, "%PDF-two")

	signed := persons().Link(one)
	at := func(id, expires, signature string) string {
		return "/api/v2/public/documents/" + id + "?" + url.Values{"expires": {expires}, "signature": {signature}}.Encode()
	}
	expires := strconv.FormatInt(signed.Expires, 10)
	for name, other := range map[string]string{
		"another document":      at(two.ID, expires, signed.Signature),
		"a document of nobody":  at(secret.UUID(), expires, signed.Signature),
		"a later end":           at(one.ID, strconv.FormatInt(signed.Expires+1, 10), signed.Signature),
		"no signature of ours":  at(one.ID, expires, "AAAA"),
		"a changed signature":   at(one.ID, expires, strings.ToLower(signed.Signature)),
		"a longer signature":    at(one.ID, expires, signed.Signature+"A"),
		"a signature in base32": at(one.ID, expires, "====="),
	} {
		t.Run(name, func(t *testing.T) { c.Get(t, other).WantTokens(t, 403, "public.document.invalid_link") })
	}
	c.Get(t, "/api/v2/public/documents/"+one.ID).WantTokens(t, 400, "public.document.missing_expires",
		"public.document.missing_signature", "public.document.empty_signature")
	c.Get(t, at(one.ID, "soon", "")).WantTokens(t, 422, "invalid", "public.document.empty_signature")
	c.Get(t, at(one.ID, expires, "a\x00")).WantTokens(t, 422, "invalid")

	w.Files.Fail = func(string, string) error { return errors.New("no route to the bucket") }
	c.Get(t, link(one)).WantTokens(t, 503, "server.internal_error")
	w.Files.Fail = nil
	expect.OK(t, w.Files.Delete(t.Context(), one.File))
	c.Get(t, link(one)).WantTokens(t, 404, "record.not_found")
	c.Get(t, link(proofs.Document{ID: secret.UUID()})).WantTokens(t, 404, "record.not_found")
	before := link(two)
	w.Now = w.Now.Add(time.Minute - time.Second)
	c.Get(t, before).Want(t, 200, "%PDF-two")
	w.Now = w.Now.Add(time.Second)
	c.Get(t, before).WantTokens(t, 403, "public.document.invalid_link")
}
