package person

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
)

// A Phone is a number of a user, proved once the user has entered the code that was sent to it. No two
// accounts have the proof of one number.
type Phone struct {
	ID      int64
	UserUID string
	Country string // alpha-2 code of ISO 3166-1
	// Number is the international one, digits with the country code and without "+". It is sealed in
	// the row.
	Number string
	// ProvedAt is zero for a number that awaits its proof, or whose proof the account gave up when it
	// was deleted.
	ProvedAt  time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String keeps the number out of logs and errors.
func (p Phone) String() string { return fmt.Sprintf("phone %d of %s", p.ID, p.UserUID) }

// GoString keeps the number out of %#v.
func (p Phone) GoString() string { return p.String() }

// Refusals about phones.
var (
	// ErrNoPhone says that the number is none of the user's.
	ErrNoPhone = fmt.Errorf("person: phone: %w", account.ErrNotFound)
	// ErrPhoneHeld says that the user has the number already and has not proved it.
	ErrPhoneHeld = errors.New("person: the phone is the user's already")
	// ErrPhoneProved says that the user, or another, has proved the number.
	ErrPhoneProved = errors.New("person: the phone is proved already")
	// ErrTooManyPhones says that the user has proved as many numbers as there may be.
	ErrTooManyPhones = errors.New("person: too many phones")
	// ErrWrongPhoneCode says that the code is not the one that was sent last, that it was tried too
	// often, or that its time is over: another must be sent.
	ErrWrongPhoneCode = errors.New("person: wrong code of a phone")
	// ErrPhonesOff says that no provider sends codes.
	ErrPhonesOff = errors.New("person: phones are not verified here")
)

// Refusals by a PhoneProvider.
var (
	ErrPhoneUnreachable  = errors.New("person: no message reaches the phone")
	ErrPhoneInvalid      = errors.New("person: the provider takes the number for none")
	ErrPhoneContent      = errors.New("person: the provider refuses the text")
	ErrPhoneUnsubscribed = errors.New("person: the phone wants no messages of ours")
	// ErrPhoneProvider says that the provider did not do as it was asked, for any other reason.
	ErrPhoneProvider = errors.New("person: the provider of phone codes fails")
)

// Channels of codes.
const (
	ChannelSMS  = "sms"
	ChannelCall = "call"
)

// A PhoneMessage is a code on its way to a phone.
type PhoneMessage struct {
	To       string // "+" and the digits of the number
	Channel  string // ChannelSMS or ChannelCall
	Language string // of the reader, two letters
	Code     string // digits; "" for a provider that makes codes
	Text     string // a sentence with the code
}

// String keeps number and code out of logs and errors.
func (PhoneMessage) String() string { return "phone message" }

// GoString keeps them out of %#v.
func (m PhoneMessage) GoString() string { return m.String() }

// A PhoneProvider brings codes to phones; twilio.SMS, twilio.Verify and outbox.Phones do. It is safe
// for concurrent use. Its errors are refusals, each of which wraps one of those above; any other
// counts as ErrPhoneProvider.
type PhoneProvider interface {
	// MakesCodes reports whether it makes the codes, and checks them, itself.
	MakesCodes() bool
	// Send brings a code to the phone and returns the channel that it took: a provider of one
	// channel takes that.
	Send(ctx context.Context, m PhoneMessage) (channel string, err error)
	// Check reports whether code is the one that it made for the phone last. Only those that make
	// codes are asked.
	Check(ctx context.Context, to, code string) (bool, error)
}

// phoneReader is the part of Reader about phones.
type phoneReader interface {
	// Phones lists a user's, by row id; in a transaction others wait that write rows of the user.
	// account.ErrSeal.
	Phones(ctx context.Context, uid string) ([]Phone, error)
	// PhoneProved reports whether anybody has proved a number; account.ErrSeal.
	PhoneProved(ctx context.Context, number string) (bool, error)
	// PhoneHolder returns the uid of the account that has proved a number, else that of the first of those
	// that have it and have not; ErrNoPhone, account.ErrSeal.
	PhoneHolder(ctx context.Context, number string) (uid string, err error)
	// PhoneAlias names a number without showing it, by the key that seals the database;
	// account.ErrSeal without one. It reads nothing.
	PhoneAlias(number string) (string, error)
}

// phoneWriter is the part of Tx about phones; account.Tx has ReleasePhones. Numbers are a user's own,
// ErrNoPhone for any other.
type phoneWriter interface {
	// AddPhone seals and inserts p, unproved, and fills ID and times; account.ErrNoUser,
	// account.ErrTaken when the user has the number, account.ErrSeal.
	AddPhone(ctx context.Context, p *Phone) error
	// DeletePhone removes one.
	DeletePhone(ctx context.Context, uid, number string) error
	// PutPhoneCode keeps a code, hashed, in place of any other and with no try used, until a time; "" is
	// one that a provider makes and keeps.
	PutPhoneCode(ctx context.Context, uid, number, code string, until time.Time) error
	// TryPhoneCode counts a try of the code, in the same write that finds it: a code that was tried
	// most times, whose time is over at now, or of a proved number is not found. It reports in
	// constant time whether code is the one that is kept.
	TryPhoneCode(ctx context.Context, uid, number, code string, most int, now time.Time) (bool, error)
	// ProvePhone sets the time of the proof and forgets the code; account.ErrTaken when somebody has
	// proved the number already.
	ProvePhone(ctx context.Context, uid, number string, at time.Time) error
}

// Bounds of phones.
const (
	maxPhones  = 5
	codeTries  = 5
	codeLife   = 10 * time.Minute
	phoneCodes = 100_000 // different codes: five digits
	codeMark   = "{{code}}"
)

// Actions of activities about phones.
const (
	actionPhoneAdd    = "phone create"
	actionPhoneCode   = "phone code"
	actionPhoneVerify = "phone verify"
)

// codeTexts are the messages by language, where the operator has set none: the name of the
// application, then the code.
var codeTexts = map[string]string{
	"en": "Your verification code for %s: %s",
	"ru": "Ваш код подтверждения для %s: %s",
}

// codeShape is that of codes that providers make; they are not asked about any other.
var codeShape = regexp.MustCompile(`^[0-9]{4,10}$`)

// codeText is the message of a code.
func (c Config) codeText(language, code string) string {
	if c.CodeText != "" {
		return strings.ReplaceAll(c.CodeText, codeMark, code)
	}
	text, ok := codeTexts[language]
	if !ok {
		text = codeTexts["en"]
	}
	return fmt.Sprintf(text, c.AppName, code)
}

// newPhoneCode makes a code of five digits.
func newPhoneCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(phoneCodes))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return fmt.Sprintf("%05d", n)
}

// Phones lists the actor's, by row id.
func (s *Service) Phones(ctx context.Context, by account.Actor) ([]Phone, error) {
	all, err := s.rows.Phones(ctx, by.UID)
	if err != nil {
		return nil, fmt.Errorf("list phones: %w", err)
	}
	return all, nil
}

// AddPhone gives the actor a number and sends a code to it. A number that was never proved makes room
// when there are too many. The number stays when the sending fails: SendPhoneCode tries again.
// It returns the channel that the code took. Errors, in order: ErrPhonesOff, ErrNoNumber,
// limit.TooMany for questions about numbers, ErrPhoneProved, ErrPhoneHeld, ErrTooManyPhones,
// limit.TooMany for codes; those of a PhoneProvider.
func (s *Service) AddPhone(ctx context.Context, by account.Actor, text, channel string) (via string, err error) {
	number, held, err := s.ownPhone(ctx, by, text)
	switch {
	case err == nil:
		return "", ErrPhoneHeld
	case !errors.Is(err, ErrNoPhone):
		return "", err
	}
	if _, err := roomFor(held); err != nil {
		return "", err
	}
	return s.sendCode(ctx, by, number, channel, actionPhoneAdd, func(tx work) error {
		held, err := tx.Phones(ctx, by.UID) // as they are now
		if err != nil {
			return err
		}
		if indexOf(held, number) >= 0 {
			return ErrPhoneHeld
		}
		oldest, err := roomFor(held)
		if err != nil {
			return err
		}
		if oldest != nil {
			if err := tx.DeletePhone(ctx, by.UID, oldest.Number); err != nil {
				return err
			}
		}
		return tx.AddPhone(ctx, &Phone{UserUID: by.UID, Country: number.country, Number: number.digits})
	})
}

// SendPhoneCode sends another code to a number of the actor's, in place of the former one, and
// returns the channel that it took. Errors, in order: ErrPhonesOff, ErrNoNumber, limit.TooMany for
// questions about numbers, ErrPhoneProved, ErrNoPhone, limit.TooMany for codes; those of a
// PhoneProvider.
func (s *Service) SendPhoneCode(ctx context.Context, by account.Actor, text, channel string) (via string, err error) {
	number, _, err := s.ownPhone(ctx, by, text)
	if err != nil {
		return "", err
	}
	return s.sendCode(ctx, by, number, channel, actionPhoneCode, func(work) error { return nil })
}

// VerifyPhone proves a number of the actor's by the code that was sent to it: the private label phone
// is set, unless there is one, and level and state follow. It returns the user as it then is. A code
// may be tried five times within ten minutes. Errors, in order: ErrPhonesOff, ErrNoNumber,
// limit.TooMany for questions about numbers, ErrPhoneProved, ErrNoPhone, ErrWrongPhoneCode;
// ErrPhoneProvider.
func (s *Service) VerifyPhone(ctx context.Context, by account.Actor, text, code string) (u account.User, err error) {
	number, _, err := s.ownPhone(ctx, by, text)
	if err != nil {
		return u, err
	}
	code = strings.TrimSpace(code)
	right := false
	err = s.update(ctx, func(tx work) error {
		right, err = tx.TryPhoneCode(ctx, by.UID, number.digits, code, codeTries, s.now())
		return err
	})
	spent := errors.Is(err, ErrNoPhone)
	if err != nil && !spent {
		return u, fmt.Errorf("try code of phone: %w", err)
	}
	if !spent && s.phones.MakesCodes() && codeShape.MatchString(code) {
		if right, err = s.phones.Check(ctx, number.international(), code); err != nil {
			// Whatever its reason: the code was not judged.
			return u, s.refusePhone(ctx, by, actionPhoneVerify, "The provider failed", errors.Join(ErrPhoneProvider, err))
		}
	}
	if !right {
		return u, s.refusePhone(ctx, by, actionPhoneVerify, "Code is wrong or lapsed", ErrWrongPhoneCode)
	}
	err = s.update(ctx, func(tx work) error {
		if err := tx.ProvePhone(ctx, by.UID, number.digits, s.now()); errors.Is(err, account.ErrTaken) {
			return ErrPhoneProved // meanwhile
		} else if err != nil {
			return err
		}
		if err := tx.ShowPhone(ctx, by.UID); err != nil {
			return err
		}
		a := by.Activity(s.now(), "account", actionPhoneVerify, audit.Succeed, "")
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		u, err = tx.User(ctx, by.UID)
		return err
	})
	if err != nil {
		return account.User{}, fmt.Errorf("verify phone: %w", err)
	}
	return u, nil
}

// ownPhone reads a number and looks for it among the actor's, which it returns too. A number that
// the actor or anybody has proved is ErrPhoneProved, any other that is not the actor's ErrNoPhone. As
// the answer shows whether somebody has the number, questions about numbers that are not the
// actor's are counted (W-R9).
func (s *Service) ownPhone(ctx context.Context, by account.Actor, text string) (phoneNumber, []Phone, error) {
	if s.phones == nil {
		return phoneNumber{}, nil, ErrPhonesOff
	}
	number, err := parsePhone(text)
	if err != nil {
		return number, nil, err
	}
	held, err := s.rows.Phones(ctx, by.UID)
	if err != nil {
		return number, nil, fmt.Errorf("list phones: %w", err)
	}
	at := indexOf(held, number)
	if at >= 0 && !held[at].ProvedAt.IsZero() {
		return number, held, ErrPhoneProved
	}
	if at < 0 {
		if err := s.countQuestion(ctx, by); err != nil {
			return number, held, err
		}
	}
	proved, err := s.rows.PhoneProved(ctx, number.digits)
	switch {
	case err != nil:
		return number, held, fmt.Errorf("look for phone: %w", err)
	case proved:
		return number, held, ErrPhoneProved
	case at < 0:
		return number, held, ErrNoPhone
	}
	return number, held, nil
}

// sendCode sends a new code to a number; prepare does in the transaction of the code all that must be
// done before. The code is kept before it is sent: it works as soon as it arrives.
func (s *Service) sendCode(
	ctx context.Context, by account.Actor, number phoneNumber, channel, action string, prepare func(work) error,
) (via string, err error) {
	if err := s.countCode(ctx, by, number); err != nil {
		return "", err
	}
	code, language := "", ""
	if !s.phones.MakesCodes() {
		code = newPhoneCode()
	}
	err = s.update(ctx, func(tx work) error {
		u, err := tx.User(ctx, by.UID)
		if err != nil {
			return err
		}
		language = s.accounts.Language(u, "", by.Language)
		if err := prepare(tx); err != nil {
			return err
		}
		if err := tx.PutPhoneCode(ctx, by.UID, number.digits, code, s.now().Add(codeLife)); err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.Activity(s.now(), "account", action, audit.Succeed, ""))
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", action, err)
	}
	via, err = s.phones.Send(ctx, PhoneMessage{
		To: number.international(), Channel: channel, Language: language, Code: code, Text: s.cfg.codeText(language, code),
	})
	if err != nil {
		return "", s.refusePhone(ctx, by, actionPhoneCode, "The code was not sent", providerError(err))
	}
	return via, nil
}

// refusePhone records a refusal and returns why.
func (s *Service) refusePhone(ctx context.Context, by account.Actor, action, reason string, why error) error {
	a := by.Activity(s.now(), "account", action, audit.Failed, reason)
	err := s.update(context.WithoutCancel(ctx), func(tx work) error { return tx.AddActivity(ctx, a) })
	if err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	return why
}

// providerError is err as one that a PhoneProvider may return.
func providerError(err error) error {
	for _, known := range []error{
		ErrPhoneUnreachable, ErrPhoneInvalid, ErrPhoneContent, ErrPhoneUnsubscribed, ErrPhoneProvider,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	return errors.Join(ErrPhoneProvider, err)
}

// roomFor returns the number that must go so that another fits, nil for none: the oldest that was not
// proved. ErrTooManyPhones.
func roomFor(held []Phone) (*Phone, error) {
	if len(held) < maxPhones {
		return nil, nil
	}
	i := slices.IndexFunc(held, func(p Phone) bool { return p.ProvedAt.IsZero() })
	if i < 0 {
		return nil, ErrTooManyPhones
	}
	return &held[i], nil
}

// indexOf is the place of a number among phones, -1 for none.
func indexOf(held []Phone, n phoneNumber) int {
	return slices.IndexFunc(held, func(p Phone) bool { return p.Number == n.digits })
}

// international is the number as providers want it (E.164).
func (n phoneNumber) international() string { return "+" + n.digits }
