package person_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	colour "image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// picture is a small one.
func picture(t testing.TB, extension string) []byte {
	t.Helper()
	m := image.NewPaletted(image.Rect(0, 0, 3, 2), colour.Palette{colour.Black})
	var b bytes.Buffer
	switch extension {
	case "png":
		expect.OK(t, png.Encode(&b, m))
	case "gif":
		expect.OK(t, gif.Encode(&b, m, nil))
	case "pdf":
		b.WriteString("%PDF-1.7\n1 0 obj\n<<>>\nendobj\n")
	default:
		expect.OK(t, jpeg.Encode(&b, m, nil))
	}
	return b.Bytes()
}

func upload(name string, content []byte) person.Upload {
	return person.Upload{Name: name, Content: io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))}
}

// vast is the beginning of a PNG of that size, whose header is right.
func vast(width, height uint32) []byte {
	head := []byte("IHDR")
	head = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(head, width), height)
	head = append(head, 8, 2, 0, 0, 0)
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	return binary.BigEndian.AppendUint32(append(b, head...), crc32.ChecksumIEEE(head))
}

// archive is a world with files.
type archive struct {
	*world
	files *persontest.Files
	cfg   worldtest.Config
	u     account.User
}

func newArchive(t testing.TB, change func(*worldtest.Config)) *archive {
	return newArchiveOn(t, change, storetest.Open)
}

func newArchiveOn(t testing.TB, change func(*worldtest.Config), open storetest.Opener) *archive {
	t.Helper()
	a := &archive{files: persontest.NewFiles()}
	a.cfg = worldtest.Config{Files: a.files, Links: expect.Must(person.NewLinks(time.Minute, make([]byte, 32)))(t)}
	if change != nil {
		change(&a.cfg)
	}
	a.world = &world{worldtest.NewOn(t, a.cfg, open)}
	a.files.Now = func() time.Time { return a.Now }
	a.u = a.User("alice@example.com", 2)
	a.News()
	return a
}

// passport is a good one.
func passport(files ...person.Upload) person.DocumentInput {
	expires := time.Date(2031, 8, 7, 0, 0, 0, 0, time.UTC)
	return person.DocumentInput{Type: "Passport", Number: "AA1234BB", Expires: &expires, Identificator: "b45e", Files: files}
}

func (a *archive) add(in person.DocumentInput) error {
	a.T.Helper()
	return a.Persons.AddDocuments(a.T.Context(), worldtest.ActorOf(a.u), in)
}

func (a *archive) documents() []person.Document {
	a.T.Helper()
	return expect.Must(a.DB.Documents(a.T.Context(), a.u.UID))(a.T)
}

// label is the value of a private label, "" for none.
func (a *archive) label(key string) string {
	a.T.Helper()
	l, err := a.DB.Label(a.T.Context(), a.u.UID, key, account.ScopePrivate)
	if errors.Is(err, account.ErrNoLabel) {
		return ""
	}
	expect.OK(a.T, err)
	return l.Value
}

// kept are the names of all files, sorted.
func (a *archive) kept() (all []string) {
	a.T.Helper()
	expect.OK(a.T, a.files.Names(a.T.Context(), func(name string, _ time.Time) bool {
		all = append(all, name)
		return true
	}))
	slices.Sort(all)
	return all
}

// matches fails the test unless each row has its file and each file its row.
func (a *archive) matches(want int) {
	a.T.Helper()
	var rows []string
	for _, d := range a.documents() {
		rows = append(rows, d.File)
	}
	slices.Sort(rows)
	if kept := a.kept(); len(rows) != want || !slices.Equal(rows, kept) {
		a.T.Errorf("%d rows of %d, files %q of rows %q", len(rows), want, kept, rows)
	}
}

func TestAFileIsCheckedBeforeItIsKept(t *testing.T) {
	refused := func(extension string) []string {
		return []string{`upload.You are not allowed to upload "` + extension + `" files, allowed types: jpg, jpeg, png, pdf`, "upload.blank"}
	}
	a := newArchive(t, func(cfg *worldtest.Config) {
		cfg.Documents = func(r *person.DocumentRules) { r.SizeMin, r.SizeMax, r.Most = 10, 1<<20, 1000 }
	})
	jpg, pngs, pdf := picture(t, "jpg"), picture(t, "png"), picture(t, "pdf")
	text := func(media string, b []byte) person.Upload {
		u := upload("", b)
		u.Media = media
		return u
	}
	for name, test := range map[string]struct {
		file person.Upload
		want []string
	}{
		"a picture":                          {upload("a.jpg", jpg), nil},
		"by its other extension":             {upload("a.JPEG", jpg), nil},
		"one with a long way to its size":    {upload("a.jpg", slices.Concat(jpg[:2], bytes.Repeat(append([]byte{0xff, 0xe1, 0xff, 0xff}, make([]byte, 0xfffd)...), 12), jpg[2:])), nil},
		"a page":                             {upload("scan.pdf", pdf), nil},
		"base64 of a picture":                {text("", pngs), nil},
		"base64 with its type":               {text("image/png", pngs), nil},
		"base64 of no type":                  {text("application/octet-stream", pngs), nil},
		"no file":                            {person.Upload{}, []string{"upload.blank"}},
		"base64 of something else":           {text("", []byte("plain text that is long")), []string{"upload.blank"}},
		"base64 that says what it is":        {text("text/plain", []byte("plain text that is long")), refused("txt")},
		"base64 of another type":             {text("image/jpeg", pngs), []string{"upload.invalid"}},
		"base64 of a type nobody knows":      {text("a/b", pngs), refused("")},
		"another extension":                  {upload("a.txt", jpg), refused("txt")},
		"no extension":                       {upload("passport", jpg), refused("passport")},
		"an extension that is none":          {upload("a.<b>", jpg), refused("")},
		"a program under another name":       {upload("a.png", append([]byte("MZ"), make([]byte, 100)...)), refused("exe")},
		"a page of a browser":                {upload("a.png", []byte("<html><script>alert(1)</script></html>")), refused("html")},
		"a picture of another kind":          {upload("a.png", jpg), []string{"upload.invalid"}},
		"a picture that is broken":           {upload("a.png", pngs[:20]), []string{"upload.invalid"}},
		"a picture that is no end of header": {upload("a.jpg", slices.Concat(jpg[:2], bytes.Repeat(append([]byte{0xff, 0xe1, 0xff, 0xff}, make([]byte, 0xfffd)...), 15))), []string{"upload.invalid"}},
		"a picture that needs gigabytes":     {upload("a.png", vast(60_000, 60_000)), []string{"upload.too_many_pixels"}},
		"the largest picture":                {upload("a.png", vast(1<<14, 1<<13)), nil},
		"a small file":                       {upload("a.jpg", jpg[:9]), []string{"upload.File size should be greater than 10 Bytes", "upload.blank"}},
		"an empty file":                      {upload("a.jpg", nil), []string{"upload.File size should be greater than 10 Bytes", "upload.blank"}},
		"a large file":                       {upload("a.jpg", append(slices.Clone(jpg), make([]byte, 1<<20)...)), []string{"upload.File size should be less than 1 MB", "upload.blank"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(a.documents())
			got := worldtest.Tokens(a.add(passport(test.file)))
			expect.Equal(t, got, test.want)
			want := before
			if test.want == nil {
				want++
			}
			a.matches(want)
		})
	}
	t.Run("of several the first bad one counts, and then the fields", func(t *testing.T) {
		before := len(a.documents())
		in := passport(upload("a.jpg", jpg), upload("a.txt", jpg), upload("a.png", jpg))
		in.Type, in.Number = "Letter", "?"
		expect.Equal(t, worldtest.Tokens(a.add(in)), append(refused("txt"), "doc_type.inclusion", "doc_number.invalid"))
		a.matches(before)
	})
	t.Run("no file at all", func(t *testing.T) {
		expect.Equal(t, worldtest.Tokens(a.add(passport())), []string{"upload.blank"})
	})
	t.Run("the least size of the shipped rules", func(t *testing.T) {
		a := newArchive(t, nil)
		expect.Equal(t, worldtest.Tokens(a.add(passport(upload("a.jpg", nil)))), []string{"upload.File size should be greater than 1 Byte", "upload.blank"})
	})
}

func TestAStoredDocumentHasEverything(t *testing.T) {
	a := newArchive(t, nil)
	jpg, issued := picture(t, "jpg"), time.Date(2020, 6, 5, 0, 0, 0, 0, time.UTC)
	in := passport(upload(`C:\scans\..\Zoë O'Hara <script>.JPG`, jpg), upload("back.jpeg", jpg))
	in.Issued, in.Category, in.Metadata = &issued, new("front_side"), new(`{"a":1}`)
	a.Must(a.add(in))
	a.matches(2)
	all := a.documents()
	d := all[0]
	if prefix := a.u.UID + "/" + d.ID + "/"; !strings.HasPrefix(d.File, prefix) || len(d.File) != len(prefix)+32 {
		t.Errorf("the file is %q, want it below %q", d.File, prefix)
	}
	want := person.Document{
		ID: d.ID, UserUID: a.u.UID, Type: "Passport", Number: new("AA1234BB"), Expires: new("2031-08-07"), Issued: new("2020-06-05"),
		Category: new("front_side"), Identificator: "b45e", Metadata: new(`{"a":1}`), File: d.File, Size: int64(len(jpg)), Media: "image/jpeg",
		FileName: "Zoë_O_Hara__script_.jpg", CreatedAt: a.Now, UpdatedAt: a.Now,
	}
	expect.Equal(t, d, want)
	if all[1].ID == d.ID || all[1].FileName != "back.jpeg" || all[1].Identificator != d.Identificator {
		t.Errorf("the second is %#v", all[1])
	}
	expect.Equal(t, a.label("document"), "pending")
	expect.Equal(t, a.Activities(a.u.UID), []string{"account document create succeed"})
	expect.Equal(t, worldtest.Names(a.News()), []string{"model.document.created:en", "model.document.created:en", "model.label.created:en"})
	in.Identificator = ""
	a.Must(a.add(in))
	if made := a.documents()[2:]; len(made[0].Identificator) != 32 || made[0].Identificator != made[1].Identificator {
		t.Errorf("identificators %q and %q, want one of 32 characters", made[0].Identificator, made[1].Identificator)
	}
}

// The name of a file stays harmless, short and readable, and keeps its extension.
func FuzzFileName(f *testing.F) {
	for _, name := range []string{"a.png", "../../etc/passwd.png", `C:\a\b.png`, "a\x00b\r\n.png", ".png", "..png", strings.Repeat("ä", 300) + ".png", "\xff\xfe.png", "a.html.png", `";filename=x.png`, "___.png", "‮gnp.exe.png"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := person.FileName(name, "png")
		base, ok := strings.CutSuffix(got, ".png")
		if !ok || base == "" || len(got) > 128 || !utf8.ValidString(got) || strings.HasPrefix(got, ".") || strings.HasPrefix(got, "-") ||
			strings.ContainsAny(got, "/\\\"'<>;:%\u202e\u2028 ") || strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Errorf("%q became %q", name, got)
		}
	})
}

func TestDocumentsExpireInTheFuture(t *testing.T) {
	at := func(day string) *time.Time {
		d := expect.Must(time.Parse(time.DateOnly, day))(t)
		return &d
	}
	for name, test := range map[string]struct {
		needed bool
		kind   string
		day    *time.Time
		want   error
	}{
		"none":                   {true, "Passport", nil, person.ErrNoExpiry},
		"yesterday":              {true, "Passport", at("2026-11-20"), person.ErrExpired},
		"today":                  {true, "Passport", at("2026-11-21"), nil},
		"none is needed":         {false, "Passport", nil, nil},
		"yesterday will do":      {false, "Passport", at("2026-11-20"), nil},
		"addresses never expire": {true, "Address", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, func(cfg *worldtest.Config) {
				cfg.Documents = func(r *person.DocumentRules) { r.NeedExpiry = test.needed }
			})
			in := passport(upload("a.jpg", picture(t, "jpg")))
			in.Type, in.Expires = test.kind, test.day
			if err := a.add(in); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// The number of documents is bounded, whatever comes at once.
func TestDocumentsAreBounded(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		a := newArchiveOn(t, nil, open)
		jpg := picture(t, "jpg")
		eleven := make([]person.Upload, 11)
		for i := range eleven {
			eleven[i] = upload("a.jpg", jpg)
		}
		expect.Error(t, a.add(passport(eleven...)), person.ErrTooManyDocuments)
		a.matches(0)
		var wg sync.WaitGroup
		errs := make(chan error, 16)
		for range cap(errs) {
			wg.Go(func() {
				errs <- a.Persons.AddDocuments(context.Background(), worldtest.ActorOf(a.u), passport(upload("a.jpg", jpg)))
			})
		}
		wg.Wait()
		stored := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				stored++
			} else if !errors.Is(err, person.ErrTooManyDocuments) {
				t.Error(err)
			}
		}
		expect.Equal(t, stored, 10)
		a.matches(10)
		expect.Error(t, a.Persons.AddAddress(t.Context(), worldtest.ActorOf(a.u), person.Address{Country: "DE"}, []person.Upload{upload("a.jpg", jpg)}), person.ErrTooManyDocuments)
		a.cfg.Documents = func(r *person.DocumentRules) { r.Most = 9 }
		a.Serve(a.cfg, a.Hasher, nil)
		expect.Error(t, a.add(passport(upload("a.jpg", jpg))), person.ErrDocumentsFull)
	})
}

// A new file opens the review again, also one that was decided, and the old files stay.
func TestANewDocumentOpensTheReview(t *testing.T) {
	a := newArchive(t, nil)
	jpg := picture(t, "jpg")
	for _, decided := range []string{"", "verified", "rejected", "expired"} {
		level := 2
		if decided != "" {
			a.Label(a.u.UID, "document", decided, account.ScopePrivate)
		}
		if decided == "verified" {
			level = 3
		}
		expect.Equal(t, a.Reload(a.u.UID).Level, level)
		a.Must(a.add(passport(upload("a.jpg", jpg))))
		expect.Equal(t, a.label("document"), "pending")
		expect.Equal(t, a.Reload(a.u.UID).Level, 2)
	}
	a.matches(4)
	expect.Equal(t, a.label("address"), "")
	a.Label(a.u.UID, "address", "verified", account.ScopePrivate)
	a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
	home := person.Address{Country: "DE", Address: "1 Main St.", City: "Köln", Postcode: "50667"}
	a.Must(a.Persons.AddAddress(t.Context(), worldtest.ActorOf(a.u), home, []person.Upload{upload("bill.pdf", picture(t, "pdf"))}))
	expect.Equal(t, []string{a.label("address"), a.label("document")}, []string{"pending", "verified"})
	d := a.documents()[4]
	expect.Equal(t, *d.Address, home)
	expect.Equal(t, []any{d.Type, d.Number == nil, d.Expires == nil, d.FileName}, []any{"Address", true, true, "bill.pdf"})
	a.Label(a.u.UID, "address", "verified", account.ScopePrivate)
	in := passport(upload("a.jpg", jpg))
	in.Type = "Address"
	a.Must(a.add(in))
	expect.Equal(t, []string{a.label("address"), a.label("document")}, []string{"pending", "verified"})
	deeds := a.Activities(a.u.UID)
	expect.Equal(t, deeds[len(deeds)-2:], []string{"account address create succeed", "account document create succeed"})
}

// An outside provider gets a document when it has all of its files: two of a passport, three of the others,
// however they come.
func TestAnOutsideProviderWaitsForEveryFile(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		jpg := picture(t, "jpg")
		for kind, files := range map[string]int{"Passport": 2, "Identity card": 3, "Driver license": 3, "Utility Bill": 0, "Address": 0} {
			t.Run(kind, func(t *testing.T) {
				a := newArchiveOn(t, func(cfg *worldtest.Config) {
					cfg.Outside, cfg.Documents = true, func(r *person.DocumentRules) { r.Most = 100 }
				}, open)
				send := func(id string, n int) {
					t.Helper()
					in := passport()
					in.Type, in.Identificator = kind, id
					for range n {
						in.Files = append(in.Files, upload("a.jpg", jpg))
					}
					a.Must(a.add(in))
				}
				want := "pending"
				if files == 0 {
					want = "verified"
				}
				a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
				for n := range max(files, 2) - 1 {
					send("one", 1)
					expect.Equal(t, a.label("document"), "verified")
					if n == 0 {
						send("other", 1)
						expect.Equal(t, a.label("document"), "verified")
					}
				}
				send("one", 1)
				expect.Equal(t, a.label("document"), want)
				a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
				send("one", 1)
				expect.Equal(t, a.label("document"), "verified")
				send("at once", 4)
				expect.Equal(t, a.label("document"), want)
				a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
				var wg sync.WaitGroup
				for range max(files, 2) { // as the front end sends them
					wg.Go(func() {
						in := passport(upload("a.jpg", jpg))
						in.Type, in.Identificator = kind, "concurrent"
						if err := a.Persons.AddDocuments(context.Background(), worldtest.ActorOf(a.u), in); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				expect.Equal(t, a.label("document"), want)
				expect.Equal(t, a.label("address"), "")
			})
		}
	})
}

// Nothing of an infected file is kept, nor of one that nobody could look at; the first is on record.
func TestFilesAreScanned(t *testing.T) {
	var found error
	a := newArchive(t, func(cfg *worldtest.Config) {
		cfg.Scanner = persontest.Scanner(func(content []byte) error {
			if bytes.Contains(content, []byte("EICAR")) {
				return found
			}
			return nil
		})
	})
	jpg := picture(t, "jpg")
	bad := []person.Upload{upload("a.jpg", jpg), upload("b.jpg", append(slices.Clone(jpg), "EICAR"...))}
	for _, err := range []error{person.ErrInfected, errors.New("connection refused")} {
		found = err
		want := err
		if !errors.Is(err, person.ErrInfected) {
			want = person.ErrScanner
		}
		expect.Error(t, a.add(passport(bad...)), want)
		a.matches(0)
	}
	expect.Equal(t, a.Activities(a.u.UID), []string{`account document create failed {"reason":"infected"}`})
	expect.Equal(t, a.label("document"), "")
	a.Must(a.add(passport(bad[0])))
	a.matches(1)
}

// Wherever a step fails, there is no row without a file, and a sweep leaves no file without a row.
func TestNoRowIsWithoutAFile(t *testing.T) {
	broken := errors.New("broken")
	jpg := picture(t, "jpg")
	for name, test := range map[string]struct {
		put, putAfter, remove, begin, commit error
		want                                 error
		left                                 int // files that wait for the sweep
	}{
		"the store of files is away":           {put: broken, want: person.ErrFiles},
		"it fails behind the second file":      {putAfter: broken, want: person.ErrFiles},
		"and does not take the first one away": {putAfter: broken, remove: broken, want: person.ErrFiles, left: 2},
		"the database is away":                 {begin: broken, want: broken},
		"and the files cannot be taken away":   {begin: broken, remove: broken, want: broken, left: 2},
		"the transaction fails at its end":     {commit: broken, want: broken, left: 2}, // it may have been made
	} {
		t.Run(name, func(t *testing.T) {
			on := false
			at := func(err *error) func() error {
				return func() error {
					if on {
						return *err
					}
					return nil
				}
			}
			a := newArchive(t, func(cfg *worldtest.Config) { cfg.Begin, cfg.Commit = at(&test.begin), at(&test.commit) })
			puts := 0
			a.files.Fail = func(verb, _ string) error {
				switch verb {
				case "Put":
					return at(&test.put)()
				case "Delete":
					return at(&test.remove)()
				}
				return nil
			}
			a.files.After = func(string, string) error {
				if puts++; puts%2 == 0 {
					return at(&test.putAfter)()
				}
				return nil
			}
			on = true
			expect.Error(t, a.add(passport(upload("a.jpg", jpg), upload("b.jpg", jpg))), test.want)
			on = false
			if rows, kept := len(a.documents()), len(a.kept()); rows != 0 || kept != test.left {
				t.Errorf("%d rows and %d files, want 0 and %d", rows, kept, test.left)
			}
			expect.Equal(t, a.label("document"), "")
			a.Must(a.add(passport(upload("a.jpg", jpg), upload("b.jpg", jpg))))
			sweep := func(want int) {
				t.Helper()
				n, strange, err := a.Persons.SweepFiles(t.Context())
				expect.Equal(t, []any{n, strange, err}, []any{want, 0, nil})
			}
			a.Now = a.Now.Add(time.Hour)
			sweep(0) // an upload may be under way
			a.Now = a.Now.Add(time.Second)
			sweep(test.left)
			a.matches(2)
		})
	}
}

// When nobody knows whether the commit was made, the files stay until the rows are seen.
func TestACommitThatIsLostKeepsTheFiles(t *testing.T) {
	lost := errors.New("connection reset")
	a := newArchive(t, nil)
	commit := store.Update[person.Tx](a.DB)
	s := person.NewService(person.Config{Documents: a.cfg.DocumentRules()}, person.Parts{
		Accounts: a.Accounts, Rows: a.DB, Files: a.files, Now: func() time.Time { return a.Now },
		Update: func(ctx context.Context, f func(person.Tx) error) error { return errors.Join(commit(ctx, f), lost) },
	})
	err := s.AddDocuments(t.Context(), worldtest.ActorOf(a.u), passport(upload("a.jpg", picture(t, "jpg"))))
	expect.Error(t, err, lost)
	a.matches(1)
	a.Now = a.Now.Add(2 * time.Hour)
	n, _, err := s.SweepFiles(t.Context())
	expect.OK(t, err)
	expect.Equal(t, n, 0)
	a.matches(1)
}

// Files that are older than an upload may be another database's: they are counted and left.
func TestASweepLeavesOldFiles(t *testing.T) {
	a := newArchive(t, nil)
	a.Must(a.add(passport(upload("a.jpg", picture(t, "jpg")))))
	for n := range 450 {
		a.Must(a.files.Put(t.Context(), fmt.Sprintf("ID1/%d/old", n), "", 0, strings.NewReader("")))
	}
	before := len(a.kept()) - 1
	a.Now = a.Now.Add(6 * 24 * time.Hour)
	a.Must(a.files.Put(t.Context(), "ID1/1/new", "", 0, strings.NewReader("")))
	a.Now = a.Now.Add(2 * 24 * time.Hour)
	n, strange, err := a.Persons.SweepFiles(t.Context())
	expect.Equal(t, []any{n, strange, err}, []any{1, before, nil})
	expect.Equal(t, len(a.kept()), before+1)
	away := errors.New("away")
	a.files.Fail = func(verb, _ string) error {
		if verb == "Names" {
			return away
		}
		return nil
	}
	_, _, err = a.Persons.SweepFiles(t.Context())
	expect.Error(t, err, person.ErrFiles)
}

// With the last of the documents the level falls, once; a decision of after that stands.
func TestExpiryLowersTheLevel(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		a := newArchiveOn(t, nil, open)
		send := func(day string) {
			t.Helper()
			in := passport(upload("a.jpg", picture(t, "jpg")))
			d := expect.Must(time.Parse(time.DateOnly, day))(t)
			in.Expires = &d
			a.Must(a.add(in))
		}
		sweep := func(day string, want int) {
			t.Helper()
			a.Now = expect.Must(time.Parse(time.DateOnly, day))(t).Add(23 * time.Hour)
			expect.Equal(t, expect.Must(a.Persons.ExpireDocuments(t.Context()))(t), want)
		}
		state := func(label string, level int) {
			t.Helper()
			expect.Equal(t, []any{a.label("document"), a.Reload(a.u.UID).Level}, []any{label, level})
		}
		send("2026-12-01")
		send("2026-12-10")
		bill := passport(upload("a.jpg", picture(t, "jpg")))
		bill.Type = "Address"
		a.Must(a.add(bill)) // until 2031; it counts for no identity
		a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
		a.News()
		sweep("2026-12-02", 0) // the other one is valid
		sweep("2026-12-10", 0) // on its last day
		state("verified", 3)
		var wg sync.WaitGroup
		changed := make(chan int, 4)
		a.Now = time.Date(2026, 12, 11, 0, 0, 0, 0, time.UTC)
		for range cap(changed) { // of several replicas
			wg.Go(func() {
				n, err := a.Persons.ExpireDocuments(context.Background())
				if err != nil {
					t.Error(err)
				}
				changed <- n
			})
		}
		wg.Wait()
		expect.Equal(t, <-changed+<-changed+<-changed+<-changed, 1)
		state("expired", 2)
		did, _, err := a.DB.Activities(t.Context(), audit.Query{TargetUID: a.u.UID, Action: "document expire", Limit: 2})
		expect.OK(t, err)
		if len(did) != 1 || did[0].ActorKind != "service" || did[0].ActorRef != "document expiry" || did[0].Category != audit.CategoryAdmin ||
			did[0].Topic != "account" || did[0].Result != audit.Succeed {
			t.Errorf("activities %+v, want one of the sweep", did)
		}
		expect.Equal(t, worldtest.Names(a.News()), []string{"model.label.updated:en", "model.user.updated:en"})
		a.Label(a.u.UID, "document", "verified", account.ScopePrivate)
		sweep("2026-12-12", 0)
		state("verified", 3) // staff know what they do
		send("2026-12-20")
		state("pending", 2)
		sweep("2026-12-21", 0)
		state("pending", 2)
	})
}
