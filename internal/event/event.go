package event

import (
	"encoding/json"
	"strings"
	"time"
)

// An Event is one message to other systems, ready to be sent. Its zero value is none.
type Event struct {
	// Name is category and rest: "system.user.password.reset.token" (AZ-370, AZ-371).
	Name string
	// UID is the user whom it is about; the order of events is kept per user.
	UID string
	// Language of mails about it, "" for unknown: an ISO 639-1 code in lower case.
	Language string
	// Record and Changes are JSON objects; Changes is nil but for updates (AZ-382). They hold
	// personal data and mailed tokens: not for logs.
	Record  json.RawMessage
	Changes json.RawMessage
	// Quiet events are for consumers of the wire alone: no mail is made of an operator's changes
	// with a command or the seeds. It is read when the event is emitted, and not kept.
	Quiet bool
}

// CarriesProof reports whether the event is a link by which its reader proves the address.
func (e Event) CarriesProof() bool {
	return e.Name == ConfirmationTokenName || e.Name == ResetTokenName
}

// String keeps record and changes out of logs and errors.
func (e Event) String() string { return "event " + e.Name + " of " + e.UID }

// GoString keeps them out of %#v.
func (e Event) GoString() string { return e.String() }

// Category is the first token of the name: "system" or "model".
func (e Event) Category() string {
	category, _, _ := strings.Cut(e.Name, ".")
	return category
}

// Key is the name without its category, the routing key on the wire (AZ-371).
func (e Event) Key() string {
	_, key, _ := strings.Cut(e.Name, ".")
	return key
}

// ExchangePrefix and the category of an event make the name of the exchange that it goes to.
const ExchangePrefix = "barong.events."

// Keys are those of the events that this service emits for others to know, without their
// category, "system" or "model".
func Keys(category string) []string {
	switch category {
	case "model":
		return []string{
			"user.created", "user.updated", "label.created", "label.updated", "profile.created", "profile.updated",
			"data_storage.created", "document.created",
		}
	case "system":
		return []string{
			"session.create", "session.new_device", "user.email.confirmation.token", "user.email.confirmed",
			"user.password.reset.token", "user.password.reset", "user.password.change", "user.account.deleted",
			"user.recovery_code.used", "user.passkey.added", "document.verified", "document.rejected",
			"request.asked", "request.confirmed", "request.refused", "request.lapsed",
		}
	}
	return nil
}

// Object is the event as the wire shows it: record, changes if any, name (AZ-382).
func (e Event) Object() json.RawMessage {
	return marshal(struct {
		Record  json.RawMessage `json:"record"`
		Changes json.RawMessage `json:"changes,omitempty"`
		Name    string          `json:"name"`
	}{e.Record, e.Changes, e.Name})
}

// A User is a user as events show one (AZ-385).
type User struct {
	UID         string  `json:"uid"`
	Username    *string `json:"username"`
	Email       string  `json:"email"`
	Role        string  `json:"role"`
	Level       int     `json:"level"`
	OTP         bool    `json:"otp"`
	State       string  `json:"state"`
	ReferralUID *string `json:"referral_uid"`
	CreatedAt   Time    `json:"created_at"`
	UpdatedAt   Time    `json:"updated_at"`
}

// A Label is a label as events show one.
type Label struct {
	ID          int64   `json:"id"`
	Key         string  `json:"key"`
	Value       string  `json:"value"`
	Description *string `json:"description"`
	User        User    `json:"user"`
}

// Time is shown in UTC to the second: "2019-01-28T08:35:29Z" (AZ-385).
type Time time.Time

// MarshalText writes the form above.
func (t Time) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}

// UserCreated announces a new user.
func UserCreated(u User) Event {
	return Event{Name: "model.user.created", UID: u.UID, Record: withoutNulls(marshal(u))}
}

// UserUpdated announces a write that changed a column of a user, published or not (AZ-387).
func UserUpdated(u, before User) Event {
	return Event{
		Name: "model.user.updated", UID: u.UID,
		Record: withoutNulls(marshal(u)), Changes: changes(marshal(u), marshal(before)),
	}
}

// LabelCreated announces a new label.
func LabelCreated(l Label) Event {
	return Event{Name: "model.label.created", UID: l.User.UID, Record: withoutNulls(marshal(l))}
}

// LabelUpdated announces a changed label.
func LabelUpdated(l, before Label) Event {
	before.User = l.User // the label changed, not whose it is
	return Event{
		Name: "model.label.updated", UID: l.User.UID,
		Record: withoutNulls(marshal(l)), Changes: changes(marshal(l), marshal(before)),
	}
}

// Profile is a person's profile as other systems know it; absent fields are left out.
type Profile struct {
	User      User    `json:"user"`
	FirstName *string `json:"first_name"`
	LastName  *string `json:"last_name"`
	DOB       *string `json:"dob"`
	Address   *string `json:"address"`
	Postcode  *string `json:"postcode"`
	City      *string `json:"city"`
	Country   *string `json:"country"`
	Metadata  *string `json:"metadata"`
	CreatedAt Time    `json:"created_at"`
	UpdatedAt Time    `json:"updated_at"`
}

// ProfileCreated announces a new profile.
func ProfileCreated(p Profile) Event {
	return Event{Name: "model.profile.created", UID: p.User.UID, Record: withoutNulls(marshal(p))}
}

// ProfileUpdated announces a changed profile.
func ProfileUpdated(p, before Profile) Event {
	before.User = p.User // the profile changed, not whose it is
	return Event{
		Name: "model.profile.updated", UID: p.User.UID,
		Record: withoutNulls(marshal(p)), Changes: changes(marshal(p), marshal(before)),
	}
}

// DataStorage is a text that a client keeps with its account, as other systems know it.
type DataStorage struct {
	User      User   `json:"user"`
	Title     string `json:"title"`
	Data      string `json:"data"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// DataStorageCreated announces a new data storage.
func DataStorageCreated(d DataStorage) Event {
	return Event{Name: "model.data_storage.created", UID: d.User.UID, Record: marshal(d)}
}

// Document is a document as other systems know it: without its number, which is nobody else's
// business; absent fields are left out. Upload is the name under which its file is kept, a relative URL.
type Document struct {
	User      User    `json:"user"`
	Upload    string  `json:"upload"`
	Type      string  `json:"doc_type"`
	Expires   *string `json:"doc_expire"`
	Metadata  *string `json:"metadata"`
	CreatedAt Time    `json:"created_at"`
	UpdatedAt Time    `json:"updated_at"`
}

// DocumentCreated announces a new document.
func DocumentCreated(d Document) Event {
	return Event{Name: "model.document.created", UID: d.User.UID, Record: withoutNulls(marshal(d))}
}

// DocumentReviewed announces that the private label document was saved or removed with the value
// verified or rejected; ok is false for any other label.
func DocumentReviewed(l Label) (e Event, ok bool) {
	if l.Key != "document" || l.Value != "verified" && l.Value != "rejected" {
		return Event{}, false
	}
	return Event{Name: "system.document." + l.Value, UID: l.User.UID, Record: marshal(l)}, true
}

// SessionCreated announces a sign-in, not the session of a sign-up or confirmation.
func SessionCreated(u User, ip, userAgent string) Event {
	return Event{Name: "system.session.create", UID: u.UID, Record: marshal(struct {
		User      User   `json:"user"`
		IP        string `json:"user_ip"`
		UserAgent string `json:"user_agent"`
	}{u, ip, userAgent})}
}

// DeviceAddedName names the event of DeviceAdded.
const DeviceAddedName = "system.session.new_device"

// DeviceAdded announces a sign-in from a device that the account had not been used from. It is not
// among the reference's events: a mail is made of it.
func DeviceAdded(u User, ip, userAgent, country string, at time.Time) Event {
	return Event{Name: DeviceAddedName, UID: u.UID, Record: marshal(struct {
		User      User   `json:"user"`
		IP        string `json:"user_ip"`
		UserAgent string `json:"user_agent"`
		Country   string `json:"country"`
		At        Time   `json:"at"`
	}{u, ip, userAgent, country, Time(at)})}
}

// RecoveryCodeUsedName names the event of RecoveryCodeUsed.
const RecoveryCodeUsedName = "system.user.recovery_code.used"

// RecoveryCodeUsed announces that a recovery code stood for a code of the authenticator app, and how
// many are left. It is not among the reference's events: a mail is made of it.
func RecoveryCodeUsed(u User, left int, ip, userAgent, country string, at time.Time) Event {
	return Event{Name: RecoveryCodeUsedName, UID: u.UID, Record: marshal(struct {
		User      User   `json:"user"`
		Left      int    `json:"left"`
		IP        string `json:"user_ip"`
		UserAgent string `json:"user_agent"`
		Country   string `json:"country"`
		At        Time   `json:"at"`
	}{u, left, ip, userAgent, country, Time(at)})}
}

// PasskeyAdded announces a new passkey of a user. It is not among the reference's events: a mail is
// made of it.
func PasskeyAdded(u User, ip, userAgent, country string, at time.Time) Event {
	return Event{Name: "system.user.passkey.added", UID: u.UID, Record: marshal(struct {
		User      User   `json:"user"`
		IP        string `json:"user_ip"`
		UserAgent string `json:"user_agent"`
		Country   string `json:"country"`
		At        Time   `json:"at"`
	}{u, ip, userAgent, country, Time(at)})}
}

// A Request is a change that waits for a second member of the staff, as events show it.
type Request struct {
	ID        int64  `json:"id"`
	Action    string `json:"action"`
	AskerKind string `json:"asker_kind"`
	Asker     string `json:"asked_by"`
	TargetUID string `json:"target_uid,omitempty"`
	State     string `json:"state"`
	Reason    string `json:"reason,omitempty"`
	Decider   string `json:"decided_by,omitempty"`
	CreatedAt Time   `json:"created_at"`
	ExpiresAt Time   `json:"expires_at"`
}

// RequestChanged announces that a request was asked for (state open), confirmed or refused, or has
// lapsed. It is not among the reference's events.
func RequestChanged(r Request) Event {
	verb := r.State
	if verb == "open" {
		verb = "asked"
	}
	return Event{Name: "system.request." + verb, UID: r.Asker, Record: marshal(struct {
		Request Request `json:"request"`
	}{r})}
}

// A Notice describes a change of an account, for events whose record is user and domain.
type Notice struct {
	User User
	// Domain is the setting: the site to which links lead.
	Domain string
	// Language is "" when unknown.
	Language string
}

// The events that carry a link, as CarriesProof says.
const (
	ConfirmationTokenName = "system.user.email.confirmation.token"
	ResetTokenName        = "system.user.password.reset.token"
)

// ConfirmationToken carries the link that proves an e-mail address.
func ConfirmationToken(n Notice, token string) Event {
	return n.event(ConfirmationTokenName, token)
}

// EmailConfirmed announces that the address was proved.
func EmailConfirmed(n Notice) Event { return n.event("system.user.email.confirmed", "") }

// ResetToken carries the link that sets a new password.
func ResetToken(n Notice, token string) Event {
	return n.event(ResetTokenName, token)
}

// PasswordReset announces that such a link was used.
func PasswordReset(n Notice) Event { return n.event("system.user.password.reset", "") }

// PasswordChanged announces that the owner changed the password.
func PasswordChanged(n Notice) Event { return n.event("system.user.password.change", "") }

func (n Notice) event(name, token string) Event {
	return Event{Name: name, UID: n.User.UID, Language: n.Language, Record: marshal(struct {
		User     User   `json:"user"`
		Domain   string `json:"domain"`
		Token    string `json:"token,omitempty"`
		Language string `json:"language,omitempty"`
	}{n.User, n.Domain, token, n.Language})}
}

// AccountDeleted announces that the owner deleted the account.
func AccountDeleted(u User) Event {
	return Event{Name: "system.user.account.deleted", UID: u.UID, Record: marshal(struct {
		User User `json:"user"`
	}{u})}
}

// KYC is the category of notes to ourselves about identity checks, which go to nobody else: work that an
// outside provider is to be asked for.
const KYC = "kyc"

// The notes: the provider has called back, a submitted profile waits for its applicant, and documents
// wait for their verification.
const (
	KYCCallback  = KYC + ".verification.called"
	KYCApplicant = KYC + ".applicant.wanted"
	KYCBatch     = KYC + ".documents.wanted"
)

// kycNote is the record of such a note; each kind has fields of its own.
type kycNote struct {
	VerificationID string `json:"verification_id,omitempty"`
	ProfileID      int64  `json:"profile_id,omitempty"`
	Review         string `json:"review,omitempty"`
	Identificator  string `json:"identificator,omitempty"`
}

// KYCCalled notes that the provider of identity checks has called back about a verification
// of a user.
func KYCCalled(uid, verificationID string) Event {
	return Event{Name: KYCCallback, UID: uid, Record: marshal(kycNote{VerificationID: verificationID})}
}

// KYCVerification is the verification of a KYCCalled.
func KYCVerification(e Event) (id string, ok bool) {
	id = e.kycNote(KYCCallback).VerificationID
	return id, id != ""
}

// KYCSubmitted notes that a profile of a user was submitted: the provider is to know the person.
func KYCSubmitted(uid string, profileID int64) Event {
	return Event{Name: KYCApplicant, UID: uid, Record: marshal(kycNote{ProfileID: profileID})}
}

// KYCProfile is the profile of a KYCSubmitted.
func KYCProfile(e Event) (id int64, ok bool) {
	id = e.kycNote(KYCApplicant).ProfileID
	return id, id != 0
}

// KYCUploaded notes that the documents of an identificator are complete: they wait for the review, label
// document or address, of a user.
func KYCUploaded(uid, review, identificator string) Event {
	return Event{Name: KYCBatch, UID: uid, Record: marshal(kycNote{Review: review, Identificator: identificator})}
}

// KYCDocuments are the review and the identificator of a KYCUploaded.
func KYCDocuments(e Event) (review, identificator string, ok bool) {
	n := e.kycNote(KYCBatch)
	return n.Review, n.Identificator, n.Review != "" && n.Identificator != ""
}

// kycNote reads the note of the name; it is empty for any other event.
func (e Event) kycNote(name string) (n kycNote) {
	if e.Name != name || json.Unmarshal(e.Record, &n) != nil {
		return kycNote{}
	}
	return n
}

// marshal writes one of this file's structs, which always succeeds.
func marshal(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// members are an object's, in its order.
func members(object json.RawMessage) (names []string, values map[string]json.RawMessage) {
	dec := json.NewDecoder(strings.NewReader(string(object)))
	values = map[string]json.RawMessage{}
	if _, err := dec.Token(); err != nil { // the brace
		return nil, values
	}
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			break
		}
		names = append(names, name.(string))
		values[name.(string)] = value
	}
	return names, values
}

// pick is an object with some of another's members, in their order.
func pick(object json.RawMessage, keep func(name string, value json.RawMessage) bool) json.RawMessage {
	var b strings.Builder
	b.WriteByte('{')
	names, values := members(object)
	for _, name := range names {
		if !keep(name, values[name]) {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(marshal(name))
		b.WriteByte(':')
		b.Write(values[name])
	}
	b.WriteByte('}')
	return json.RawMessage(b.String())
}

// withoutNulls drops the members that are null, top level only (AZ-386).
func withoutNulls(object json.RawMessage) json.RawMessage {
	return pick(object, func(_ string, value json.RawMessage) bool { return string(value) != "null" })
}

// changes are the members of before that differ from now's, without updated_at and without
// those that were null (AZ-387).
func changes(now, before json.RawMessage) json.RawMessage {
	_, current := members(now)
	return pick(before, func(name string, value json.RawMessage) bool {
		return name != "updated_at" && string(value) != "null" && string(value) != string(current[name])
	})
}
