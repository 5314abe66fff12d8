package person

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"

	"barong/internal/account"
	"barong/internal/event"
)

// kycStepReader is the part of Reader about the work for a provider.
type kycStepReader interface {
	// KYCSteps returns what the provider has of a batch of a user's documents: its ids by the steps that
	// are done.
	KYCSteps(ctx context.Context, uid, batch string) (map[string]string, error)
}

// kycStepWriter is the part of Tx about it.
type kycStepWriter interface {
	// AddKYCStep notes that a step is done; account.ErrNoUser, account.ErrTaken when it was before.
	AddKYCStep(ctx context.Context, uid, batch, step, id string) error
}

// noteDocuments notes for an outside provider that the batch of a review is complete.
func (s *Service) noteDocuments(ctx context.Context, tx work, uid, review, batch string) error {
	if !s.cfg.Outside {
		return nil
	}
	return tx.Emit(ctx, event.KYCUploaded(uid, review, batch))
}

// SubmitDocuments hands the files of a batch of documents to the provider and asks for their
// verification: a document with a face, or an address. A refusal, or a batch from which no verification can be
// made, rejects the label (ErrKYCRefused). Any other error is worth another try, which goes on after the
// last step that was done.
//
// It may be repeated. A batch whose review is not pending any more, or whose account is deleted, goes
// nowhere.
func (s *Service) SubmitDocuments(ctx context.Context, provider KYCService, key, uid, review, batch string) error {
	b := &batchWork{Service: s, provider: provider, key: key, uid: uid, review: review, batch: batch}
	err := b.load(ctx)
	if err != nil || !b.pending {
		return b.wrap(err)
	}
	if review == KYCAddress {
		err = b.submitAddress(ctx)
	} else {
		err = b.submitDocument(ctx)
	}
	if !errors.Is(err, ErrKYCRefused) {
		return b.wrap(err)
	}
	if failed := b.reject(ctx); failed != nil {
		return b.wrap(failed)
	}
	return b.wrap(err)
}

// A batchWork is the work on one batch of documents.
type batchWork struct {
	*Service
	provider           KYCService
	key                string
	uid, review, batch string

	pending   bool // there is anything to do
	applicant string
	documents []Document // of the batch, in the order of their upload
	done      map[string]string
}

func (b *batchWork) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("submit documents: %w", err)
	}
	return nil
}

// load reads all that the work needs.
func (b *batchWork) load(ctx context.Context) error {
	u, err := b.rows.User(ctx, b.uid)
	if errors.Is(err, account.ErrNoUser) || err == nil && u.State == account.StateDeleted {
		return nil
	}
	if err != nil {
		return err
	}
	labels, err := b.rows.Labels(ctx, b.uid)
	if err != nil {
		return err
	}
	b.pending = slices.ContainsFunc(labels, func(l account.Label) bool {
		return l.Scope == account.ScopePrivate && l.Key == b.review && l.Value == KYCPending
	})
	profiles, err := b.rows.Profiles(ctx, b.uid)
	if err != nil {
		return err
	}
	for _, p := range profiles {
		if p.ApplicantID != nil {
			b.applicant = *p.ApplicantID
		}
	}
	all, err := b.rows.Documents(ctx, b.uid)
	if err != nil {
		return err
	}
	b.documents = slices.DeleteFunc(all, func(d Document) bool { return d.Identificator != b.batch })
	b.done, err = b.rows.KYCSteps(ctx, b.uid, b.batch)
	return err
}

// paperTypes are the provider's names of the documents that it takes.
var paperTypes = map[string]string{"Passport": "PASSPORT", "Identity card": "GOVERNMENT_ID", "Driver license": "DRIVERS_LICENSE"}

const selfieType = "SELFIE_IMAGE"

// errBatch says that no verification can be made of the documents.
var errBatch = fmt.Errorf("%w: the person is not known there, or a file is missing", ErrKYCRefused)

func (b *batchWork) submitDocument(ctx context.Context) error {
	front, back, selfie := b.sides()
	if b.applicant == "" || front == nil || selfie == nil {
		return errBatch
	}
	paper := KYCPaper{
		Applicant: b.applicant, Type: paperTypes[front.Type], Number: text(front.Number), Issued: text(front.Issued),
		Expires: text(front.Expires),
	}
	var err error
	if paper.Front, err = b.file(ctx, "front", *front); err != nil {
		return err
	}
	if back != nil {
		if paper.Back, err = b.file(ctx, "back", *back); err != nil {
			return err
		}
	}
	face := KYCPaper{Applicant: b.applicant, Type: selfieType}
	if face.Front, err = b.file(ctx, "selfie", *selfie); err != nil {
		return err
	}
	for _, p := range []KYCPaper{paper, face} {
		_, err := b.step(ctx, p.Type, func(key string) (string, error) { return b.provider.CreateDocument(ctx, key, p) })
		if err != nil {
			return err
		}
	}
	return b.verify(ctx, "DOCUMENT", "FACIAL")
}

// sides are the files of a document, by their categories, or by their order where there are none.
func (b *batchWork) sides() (front, back, selfie *Document) {
	sides := map[string]*Document{}
	for i, d := range b.documents {
		if d.Category != nil {
			sides[*d.Category] = &b.documents[i]
		}
	}
	if len(sides) > 0 || len(b.documents) < 2 {
		return sides["front_side"], sides["back_side"], sides["selfie"]
	}
	last := len(b.documents) - 1
	if last > 1 {
		back = &b.documents[1]
	}
	return &b.documents[0], back, &b.documents[last]
}

func (b *batchWork) submitAddress(ctx context.Context) error {
	if b.applicant == "" || len(b.documents) == 0 || b.documents[0].Address == nil {
		return errBatch
	}
	at := b.documents[0].Address
	home := KYCHome{
		Applicant: b.applicant, Country: alpha2(at.Country), City: at.City, PostalCode: at.Postcode, Address: at.Address,
	}
	for i, d := range b.documents[:min(len(b.documents), KYCPages)] {
		step := "proof"
		if i > 0 {
			step += strconv.Itoa(i + 1)
		}
		page, err := b.file(ctx, step, d)
		if err != nil {
			return err
		}
		home.Pages = append(home.Pages, page)
	}
	_, err := b.step(ctx, "address", func(key string) (string, error) { return b.provider.CreateAddress(ctx, key, home) })
	if err != nil {
		return err
	}
	return b.verify(ctx, "ADDRESS")
}

// file hands a file over.
func (b *batchWork) file(ctx context.Context, step string, d Document) (string, error) {
	return b.step(ctx, step, func(key string) (string, error) {
		if b.files == nil {
			return "", ErrFiles
		}
		content, err := b.files.Open(ctx, d.File)
		if errors.Is(err, ErrNoFile) {
			return "", errBatch
		}
		if err != nil {
			return "", errors.Join(ErrFiles, err)
		}
		defer content.Close()
		return b.provider.CreateFile(ctx, key, KYCFile{Name: step + path.Ext(d.FileName), Media: d.Media, Size: d.Size, Content: content})
	})
}

// step does one part of the work, unless it is done, and notes the provider's id of the outcome.
func (b *batchWork) step(ctx context.Context, step string, do func(key string) (string, error)) (string, error) {
	if id, ok := b.done[step]; ok {
		return id, nil
	}
	id, err := do(b.key + "/" + step)
	if err != nil {
		return "", err
	}
	return id, b.update(ctx, func(tx work) error { return b.note(ctx, tx, step, id) })
}

// note writes that a step is done. Of two that did it at once the first counts.
func (b *batchWork) note(ctx context.Context, tx work, step, id string) error {
	err := tx.AddKYCStep(ctx, b.uid, b.batch, step, id)
	if errors.Is(err, account.ErrTaken) {
		return nil
	}
	return err
}

const verificationStep = "verification"

// verify asks for the verification of the applicant, whose result decides the label.
func (b *batchWork) verify(ctx context.Context, types ...string) error {
	if _, ok := b.done[verificationStep]; ok {
		return nil
	}
	id, err := b.provider.StartVerification(ctx, b.key+"/"+verificationStep, b.applicant, types)
	if err != nil {
		return err
	}
	return b.update(ctx, func(tx work) error {
		v := Verification{VerificationID: id, ApplicantID: b.applicant, UserUID: b.uid, Kind: b.review}
		if err := tx.AddVerification(ctx, &v); err != nil {
			return err
		}
		return b.note(ctx, tx, verificationStep, id)
	})
}

// reject ends the review, unless staff have meanwhile.
func (b *batchWork) reject(ctx context.Context) error {
	return b.update(ctx, func(tx work) error {
		l, err := tx.Label(ctx, b.uid, b.review, account.ScopePrivate)
		if errors.Is(err, account.ErrNoLabel) || err == nil && l.Value != KYCPending {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.SetPrivate(ctx, b.uid, b.review, KYCRejected)
	})
}
