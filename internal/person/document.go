package person

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
	"barong/internal/secret"
)

// AddressType is the type of documents that prove an address: they have no number and do not expire.
const AddressType = "Address"

// Values of the labels document and address beside those of verifications.
const (
	KYCPending = "pending" // a new document waits for its review
	KYCExpired = "expired" // the last of the verified documents has expired
)

// Refusals about documents.
var (
	// ErrNoDocument says that there is no such document, or no file of it any more.
	ErrNoDocument = fmt.Errorf("person: document: %w", account.ErrNotFound)
	// ErrNoExpiry says that a document needs a day of expiry, ErrExpired that the day is over.
	ErrNoExpiry = errors.New("person: the document lacks its day of expiry")
	ErrExpired  = errors.New("person: the document has expired")
	// ErrDocumentsFull says that the user has more documents than may be, ErrTooManyDocuments that the
	// user would have, or that there are too many in one request.
	ErrDocumentsFull    = errors.New("person: the user has too many documents")
	ErrTooManyDocuments = errors.New("person: the user would have too many documents")
)

// MaxFiles is how many files come in one request.
const MaxFiles = 10

// A Document is one file by which a person proves an identity or an address. Absent fields are nil.
type Document struct {
	// ID is a random UUID; links and names of files have it.
	ID      string
	UserUID string
	Type    string
	// Number, FileName and Address are sealed in the row.
	Number          *string
	Expires, Issued *string // YYYY-MM-DD
	Category        *string // front_side, back_side or selfie
	// Identificator is common to the files of one document.
	Identificator string
	Metadata      *string // JSON text of the client's own
	Address       *Address
	// File is the name under which Files keeps the file, of Size bytes and the media type Media.
	// FileName is the client's name of it, and harmless.
	File      string
	Size      int64
	Media     string
	FileName  string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String keeps the person out of logs and errors.
func (d Document) String() string { return fmt.Sprintf("document %s of %s", d.ID, d.UserUID) }

// GoString keeps the person out of %#v.
func (d Document) GoString() string { return d.String() }

// documentReader is the part of Reader about documents.
type documentReader interface {
	// Documents lists a user's, in the order of their upload; in a transaction others wait that write
	// rows of the user.
	Documents(ctx context.Context, uid string) ([]Document, error)
	// Document loads one by its id; ErrNoDocument.
	Document(ctx context.Context, id string) (Document, error)
	// DocumentFiles returns those of the names under which a document's file is kept.
	DocumentFiles(ctx context.Context, names []string) ([]string, error)
	// Lapsed lists at most limit users with documents that expire before day, YYYY-MM-DD, and are not
	// marked, those with the oldest first.
	Lapsed(ctx context.Context, day string, limit int) (uids []string, err error)
}

// documentWriter is the part of Tx about documents.
type documentWriter interface {
	// AddDocument seals and inserts d, whose ID and File the caller has made, and fills its times;
	// account.ErrNoUser, account.ErrTaken, account.ErrSeal.
	AddDocument(ctx context.Context, d *Document) error
	// MarkLapsed marks a user's documents that expire before day, and returns how many were not.
	MarkLapsed(ctx context.Context, uid, day string) (int, error)
}

// DocumentRules are those of an exchange on documents.
type DocumentRules struct {
	// Types are the allowed ones.
	Types []string
	// Extensions are those of allowed files, of AllExtensions; SizeMin and SizeMax bound a file, in
	// bytes.
	Extensions       []string
	SizeMin, SizeMax int64
	// Most is how many documents a user may have, those of addresses among them.
	Most int
	// NeedExpiry says that a document, unless it is of an address, must have a day of expiry that is
	// not over.
	NeedExpiry bool
}

// Validate lists the problems of r.
func (r DocumentRules) Validate() error {
	var errs []error
	for _, e := range r.Extensions {
		if !slices.Contains(AllExtensions(), e) {
			errs = append(errs, fmt.Errorf("the content of %q files cannot be checked; those of %s can", e, strings.Join(AllExtensions(), ", ")))
		}
	}
	if len(r.Extensions) == 0 {
		errs = append(errs, errors.New("no extension is allowed"))
	}
	if r.SizeMin > r.SizeMax {
		errs = append(errs, errors.New("the least size is above the largest"))
	}
	return errors.Join(errs...)
}

// A DocumentInput is a document as its owner sends it, one or more files of it.
type DocumentInput struct {
	Type, Number    string
	Expires, Issued *time.Time // the day alone counts
	Category        *string
	Identificator   string // "" makes one
	Metadata        *string
	Files           []Upload
}

// AddDocuments stores a document of the actor's for each file, all or none, and opens its review
// again. Errors: ErrNoExpiry, ErrExpired, ErrDocumentsFull, ErrTooManyDocuments, Invalid,
// ErrInfected, ErrScanner, ErrFiles, account.ErrNoUser.
func (s *Service) AddDocuments(ctx context.Context, by account.Actor, in DocumentInput) error {
	if err := s.addDocuments(ctx, by, in); err != nil {
		return fmt.Errorf("add documents: %w", err)
	}
	return nil
}

func (s *Service) addDocuments(ctx context.Context, by account.Actor, in DocumentInput) error {
	rules := s.cfg.Documents
	switch {
	case !rules.NeedExpiry, in.Type == AddressType:
	case in.Expires == nil:
		return ErrNoExpiry
	case in.Expires.Format(time.DateOnly) < s.today():
		return ErrExpired
	}
	d := in.document(by.UID)
	return s.store(ctx, filing{by: by, action: "document create"}, d, in.Files, rules.wrong(d))
}

// document is the document of a user that in describes, without its file.
func (in DocumentInput) document(uid string) Document {
	d := Document{
		UserUID: uid, Type: in.Type, Number: &in.Number, Expires: day(in.Expires), Issued: day(in.Issued),
		Category: in.Category, Identificator: in.Identificator, Metadata: in.Metadata,
	}
	if d.Identificator == "" {
		d.Identificator = secret.Hex(16)
	}
	return d
}

// A filing says by whom, and how, documents of a user are stored.
type filing struct {
	by     account.Actor
	action string
	// unbounded stores them however many there are, silent leaves the labels as they are.
	unbounded, silent bool
}

// activity is that of f about documents of the user uid.
func (f filing) activity(at time.Time, uid, result, reason string) audit.Activity {
	if f.by.Service != "" {
		a := f.by.PeerActivity(at, f.action, uid)
		a.Result = result
		return a
	}
	return f.by.Activity(at, "account", f.action, result, reason)
}

// room is that of the rules, for f.
func (f filing) room(r DocumentRules, held, more int) error {
	if f.unbounded {
		return nil
	}
	return r.room(held, more)
}

// today is the day by which documents expire, in UTC.
func (s *Service) today() string { return s.now().UTC().Format(time.DateOnly) }

func day(t *time.Time) *string {
	if t == nil {
		return nil
	}
	text := t.Format(time.DateOnly)
	return &text
}

// numberShape is that of document numbers.
var numberShape = regexp.MustCompile(`^[A-Za-z0-9\s-]+$`)

// wrong lists the broken rules of the fields of d, in the reference's order.
func (r DocumentRules) wrong(d Document) (wrong invalid.Fields) {
	if !slices.Contains(r.Types, d.Type) {
		wrong.Add("doc_type", "inclusion")
	}
	if utf8.RuneCountInString(*d.Number) > 128 {
		wrong.Add("doc_number", "too_long")
	}
	if !numberShape.MatchString(*d.Number) {
		wrong.Add("doc_number", "invalid")
	}
	if utf8.RuneCountInString(d.Identificator) > longest {
		wrong.Add("identificator", "too_long")
	}
	if d.Metadata != nil {
		wrong.Add("metadata", metadataProblems(*d.Metadata)...)
	}
	return wrong
}

// room returns why a user with so many documents may not have more.
func (r DocumentRules) room(held, more int) error {
	switch {
	case held > r.Most:
		return ErrDocumentsFull
	case held+more > r.Most, more > MaxFiles:
		return ErrTooManyDocuments
	}
	return nil
}

// Documents lists the actor's, in the order of their upload.
func (s *Service) Documents(ctx context.Context, by account.Actor) ([]Document, error) {
	all, err := s.rows.Documents(ctx, by.UID)
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	return all, nil
}

// store keeps each file as a document like d, all or none. The files are kept first, so that no row
// is ever without one; those of a row that fails are taken away again, at once or by SweepFiles.
func (s *Service) store(ctx context.Context, f filing, d Document, files []Upload, wrong invalid.Fields) error {
	held, err := s.rows.Documents(ctx, d.UserUID)
	if err != nil {
		return err
	}
	if err := f.room(s.cfg.Documents, len(held), len(files)); err != nil {
		return err // before the files cost anything
	}
	documents, err := s.inspect(d, files, wrong)
	if err != nil {
		return err
	}
	if err := s.scan(ctx, files); err != nil {
		if errors.Is(err, ErrInfected) {
			err = errors.Join(err, s.refused(ctx, f, d.UserUID, "infected"))
		}
		return err
	}
	if err := s.put(ctx, documents, files); err != nil {
		return err
	}
	decided := false
	err = s.update(ctx, func(tx work) error {
		decided = false
		err := s.add(ctx, tx, f, documents)
		decided = err == nil
		return err
	})
	if err != nil && !decided { // else the commit may have been made
		s.drop(ctx, documents)
	}
	return err
}

// refused writes the activity of an upload that was refused.
func (s *Service) refused(ctx context.Context, f filing, uid, reason string) error {
	return s.update(ctx, func(tx work) error {
		return tx.AddActivity(ctx, f.activity(s.now(), uid, audit.Failed, reason))
	})
}

// inspect makes a document like d of each file, or returns every broken rule: those of the first bad
// file, and then of the fields.
func (s *Service) inspect(d Document, files []Upload, fields invalid.Fields) ([]Document, error) {
	var wrong invalid.Fields
	if len(files) == 0 {
		wrong.Add("upload", invalid.Blank)
	}
	all := make([]Document, 0, len(files))
	for _, f := range files {
		kind, problems, err := s.cfg.Documents.inspect(f)
		if err != nil {
			return nil, err
		}
		if problems != nil {
			wrong.Add("upload", problems...)
			break
		}
		d.ID = secret.UUID()
		d.File = strings.Join([]string{d.UserUID, d.ID, secret.Hex(16)}, "/")
		d.Size, d.Media, d.FileName = f.Content.Size(), kind.media, fileName(f.Name, kind.extension)
		all = append(all, d)
	}
	return all, append(wrong, fields...).Err()
}

// add writes the rows of documents, opens their review, writes the activity, and announces them.
func (s *Service) add(ctx context.Context, tx work, f filing, documents []Document) error {
	uid := documents[0].UserUID
	held, err := tx.Documents(ctx, uid)
	if err != nil {
		return err
	}
	if err := f.room(s.cfg.Documents, len(held), len(documents)); err != nil {
		return err
	}
	u, err := tx.User(ctx, uid)
	if err != nil {
		return err
	}
	reviews := map[string]bool{}
	for i := range documents {
		d := &documents[i]
		if err := tx.AddDocument(ctx, d); err != nil {
			return err
		}
		held = append(held, *d)
		if label := s.review(*d, held); label != "" && !f.silent {
			reviews[label] = true
		}
		e := event.DocumentCreated(d.event(u))
		e.Language = s.accounts.Language(u, "", "")
		if err := tx.Emit(ctx, e); err != nil {
			return err
		}
	}
	for _, label := range []string{KYCDocument, KYCAddress} {
		if !reviews[label] {
			continue
		}
		if err := tx.SetPrivate(ctx, uid, label, KYCPending); err != nil {
			return err
		}
		if err := s.noteDocuments(ctx, tx, uid, label, documents[0].Identificator); err != nil {
			return err
		}
	}
	return tx.AddActivity(ctx, f.activity(s.now(), uid, audit.Succeed, ""))
}

// batches are the numbers of files with which a document is complete, for an outside provider.
var batches = map[string]int{"Passport": 2, "Identity card": 3, "Driver license": 3}

// review is the label whose review a new document of a user opens, "" for none; held are all of the
// user's documents with d at their end. Staff see each file at once. An outside provider gets
// a document with the last of its files, and no other kind of document but those of addresses.
func (s *Service) review(d Document, held []Document) string {
	switch {
	case d.Address != nil, d.Type == AddressType && !s.cfg.Outside:
		return KYCAddress
	case !s.cfg.Outside:
		return KYCDocument
	}
	files := 0
	for _, other := range held {
		if other.Identificator == d.Identificator {
			files++
		}
	}
	if files == batches[d.Type] {
		return KYCDocument
	}
	return ""
}

// event is the document d of u as events show it: without its number, and with the name under which
// its file is kept.
func (d Document) event(u account.User) event.Document {
	return event.Document{
		User: u.Event(), Upload: d.File, Type: d.Type, Expires: d.Expires, Metadata: d.Metadata,
		CreatedAt: event.Time(d.CreatedAt), UpdatedAt: event.Time(d.UpdatedAt),
	}
}

// expirySweep is the actor of ExpireDocuments in activities.
const expirySweep = "document expiry"

// expiries is how many users one look of ExpireDocuments finds.
const expiries = 100

// ExpireDocuments looks at the documents that have expired, each once: when a user's last one has, the
// private label document goes from verified to expired, and the level follows. Documents of addresses
// and those without a day do not count. A decision after that stands. Each change leaves an activity of
// staff about the user. It returns how many labels it has changed; of processes that do this at once one has
// the effect.
func (s *Service) ExpireDocuments(ctx context.Context) (n int, err error) {
	today := s.today()
	for {
		uids, err := s.rows.Lapsed(ctx, today, expiries)
		if err != nil {
			return n, fmt.Errorf("expire documents: %w", err)
		}
		var errs []error
		for _, uid := range uids {
			changed, err := s.expire(ctx, uid, today)
			errs = append(errs, err)
			if changed {
				n++
			}
		}
		if err := errors.Join(errs...); err != nil {
			return n, fmt.Errorf("expire documents: %w", err)
		}
		if len(uids) < expiries {
			return n, nil
		}
	}
}

// expire does it for one user.
func (s *Service) expire(ctx context.Context, uid, today string) (changed bool, err error) {
	err = s.update(ctx, func(tx work) error {
		changed = false
		all, err := tx.Documents(ctx, uid)
		if err != nil {
			return err
		}
		if n, err := tx.MarkLapsed(ctx, uid, today); err != nil || n == 0 || valid(all, today) {
			return err
		}
		l, err := tx.Label(ctx, uid, KYCDocument, account.ScopePrivate)
		if errors.Is(err, account.ErrNoLabel) || err == nil && l.Value != KYCVerified {
			return nil
		}
		if err != nil {
			return err
		}
		changed = true
		if err := tx.SetPrivate(ctx, uid, KYCDocument, KYCExpired); err != nil {
			return err
		}
		a := account.Actor{Service: expirySweep}.Activity(s.now(), "account", "document expire", audit.Succeed, "")
		a.TargetUID = uid
		return tx.AddActivity(ctx, a)
	})
	return changed, err
}

// valid reports whether a document of an identity expires today or later.
func valid(all []Document, today string) bool {
	return slices.ContainsFunc(all, func(d Document) bool {
		return d.Type != AddressType && d.Expires != nil && *d.Expires >= today
	})
}
