package management_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"slices"
	"strings"
	"sync"
	"testing"

	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/rest/resttest"
)

// picture is a small PNG in base64.
func picture(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	expect.OK(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))))
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// passport is a good document with pairs in place of its parameters; nil leaves one out.
func passport(t testing.TB, pairs ...any) m {
	t.Helper()
	p := m{
		"uid": "MEMBER", "doc_type": "Passport", "doc_number": "AA 1234-BB", "filename": "front", "file_ext": ".png",
		"upload": picture(t), "doc_expire": "2031-08-07", "metadata": `{"a":1}`,
	}
	for i := 0; i < len(pairs); i += 2 {
		if p[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(p, pairs[i].(string))
		}
	}
	return p
}

func TestCreateDocument(t *testing.T) {
	w := newWorld(t)
	w.News()
	w.ask(t, "/documents", passport(t)).Want(t, 201, `201`)
	w.ask(t, "/documents", passport(t)).Want(t, 201, `201`) // twice is two
	held := expect.Must(w.DB.Documents(t.Context(), "MEMBER"))(t)
	if len(held) != 2 || *held[0].Number != "AA 1234-BB" || held[0].FileName != "front.png" || *held[0].Expires != "2031-08-07" || held[0].Category != nil || held[0].Size == 0 {
		t.Errorf("got %+v", held)
	}
	expect.Equal(t, w.labels("MEMBER"), []string{"document:pending private"})
	var names []string
	for _, e := range w.News() {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	expect.Equal(t, names, []string{"model.document.created", "model.document.created", "model.label.created", "model.user.updated"})
	deeds := w.Activities(audit.Query{TargetUID: "MEMBER"})
	if len(deeds) != 2 || deeds[0].Topic != "management" || deeds[0].ActorRef != "alex,jeff" || deeds[0].Result != audit.Succeed {
		t.Errorf("activities %+v", deeds)
	}
	w.ask(t, "/documents", passport(t, "uid", "TRADER", "update_labels", false)).Want(t, 201, `201`)
	expect.Equal(t, w.labels("TRADER"), []string(nil))
	// The bound on a user's own documents is not one of peer services.
	w.Account.Documents = func(r *person.DocumentRules) { r.Most = 1 }
	w.Restart()
	w.Mount()
	for range 3 {
		w.ask(t, "/documents", passport(t)).Want(t, 201, `201`)
	}
}

func TestCreateDocumentRefuses(t *testing.T) {
	w := newWorld(t)
	w.Account.Scanner = persontest.Scanner(func(content []byte) error {
		if bytes.Contains(content, []byte("EICAR")) {
			return person.ErrInfected
		}
		return nil
	})
	w.Account.Documents = func(r *person.DocumentRules) { r.SizeMin, r.SizeMax = 32, 1<<20 }
	w.Restart()
	pdf := base64.StdEncoding.EncodeToString([]byte("%PDF-1.4 EICAR " + strings.Repeat("x", 64)))
	for name, c := range map[string]struct {
		params m
		want   string
	}{
		"nothing":              {m{}, `{"error":"uid is missing, uid is empty, doc_type is missing, doc_type is empty, doc_number is missing, doc_number is empty, filename is missing, filename is empty, file_ext is missing, file_ext is empty, upload is missing"}`},
		"no day":               {passport(t, "doc_expire", "soon", "update_labels", "perhaps"), `{"error":"doc_expire management.documents.expire_not_a_date, update_labels management.documents.update_labels_invalid"}`},
		"nobody":               {passport(t, "uid", "NOBODY"), `{"errors":["user doesnt exist"]}`},
		"no base64":            {passport(t, "upload", "?"), `{"error":"Upload is invalid"}`},
		"no expiry":            {passport(t, "doc_expire", nil), `{"error":"Doc expire can't be blank"}`},
		"a blank expiry":       {passport(t, "doc_expire", ""), `{"error":"Doc expire can't be blank"}`},
		"expired":              {passport(t, "doc_expire", "2026-11-20"), `{"error":"Doc expire is invalid"}`},
		"a type":               {passport(t, "doc_type", "Ticket"), `{"error":"Doc type is not included in the list"}`},
		"a number":             {passport(t, "doc_number", "AA_1"), `{"error":"Doc number only allows letters and digits"}`},
		"a long number":        {passport(t, "doc_number", strings.Repeat("1", 129)), `{"error":"Doc number is too long (maximum is 128 characters)"}`},
		"metadata":             {passport(t, "metadata", "x"), `{"error":"Metadata data is not json compatible string"}`},
		"long metadata":        {passport(t, "metadata", `"`+strings.Repeat("x", 65535)+`"`), `{"error":"Metadata is too long (maximum is 65535 characters)"}`},
		"an extension":         {passport(t, "file_ext", ".exe"), `{"error":"Upload You are not allowed to upload \"exe\" files, allowed types: jpg, jpeg, png, pdf and Upload can't be blank"}`},
		"another content":      {passport(t, "file_ext", ".pdf"), `{"error":"Upload is invalid"}`},
		"no file":              {passport(t, "upload", ""), `{"error":"Upload can't be blank"}`},
		"too small":            {passport(t, "upload", "JVBERg=="), `{"error":"Upload File size should be greater than 32 Bytes and Upload can't be blank"}`},
		"too large":            {passport(t, "upload", base64.StdEncoding.EncodeToString(make([]byte, 1<<20+1))), `{"error":"Upload File size should be less than 1 MB and Upload can't be blank"}`},
		"a virus":              {passport(t, "upload", pdf, "file_ext", ".pdf"), `{"error":"Upload holds a virus"}`},
		"three things at once": {passport(t, "doc_type", "Ticket", "doc_number", "_", "doc_expire", nil), `{"error":"Doc expire can't be blank, Doc type is not included in the list, and Doc number only allows letters and digits"}`},
	} {
		t.Run(name, func(t *testing.T) { w.ask(t, "/documents", c.params).Want(t, 422, c.want) })
	}
	expect.Equal(t, len(expect.Must(w.DB.Documents(t.Context(), "MEMBER"))(t)), 0)
	deeds := w.Activities(audit.Query{TargetUID: "MEMBER"})
	if len(deeds) != 1 || deeds[0].Result != audit.Failed {
		t.Errorf("activities %+v, want that of the virus", deeds)
	}
	w.Files.Fail = func(string, string) error { return person.ErrFiles }
	w.ask(t, "/documents", passport(t)).WantTokens(t, 503, "server.internal_error")
}

// A body may be as large as the largest file makes it, and no larger; of such requests few are served at
// once.
func TestLargeDocuments(t *testing.T) {
	w := newWorld(t)
	w.Account.Documents = func(r *person.DocumentRules) { r.SizeMax = 1 << 20 }
	w.Restart()
	w.Mount()
	pdf := append([]byte("%PDF-1.4\n"), bytes.Repeat([]byte("x"), 1<<20-9)...)
	all := passport(t, "upload", base64.StdEncoding.EncodeToString(pdf), "file_ext", ".pdf")
	w.ask(t, "/documents", all).Want(t, 201, `201`)
	all["filename"] = strings.Repeat("x", 1<<20)
	w.ask(t, "/documents", all).WantTokens(t, 413, "server.body_too_large")
	all["filename"] = "x"
	var group sync.WaitGroup
	answers := make(chan resttest.Answer, 8)
	c := w.peers()
	for range cap(answers) {
		group.Go(func() { answers <- c.JSON(t, "POST", base+"/documents", all) })
	}
	group.Wait()
	for range cap(answers) {
		a := <-answers
		a.Want(t, 201, `201`)
	}
}
