package feedtest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/token"
	"barong/policy"
)

const userKid, serviceKid = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"

var until = time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)

// fixture holds the rows that exist before a write.
type fixture struct {
	user        account.User
	service     account.ServiceAccount
	key         apikey.Key
	permission  policy.Permission
	restriction policy.Restriction
}

// newCopy keeps one run of a write from changing the rows that the next begins with.
func newCopy(f *fixture) *fixture { c := *f; return &c }

func newUser(n string) account.User {
	return account.User{
		UID: "ID00000000" + n, Email: "user" + n + "@example.com", Username: new("user" + n),
		PasswordDigest: "$2a$12$x", Role: "member", State: account.StateActive, SessionGeneration: 1,
	}
}

func newFixture(t testing.TB, s Store) *fixture {
	t.Helper()
	ctx := context.Background()
	f := &fixture{user: newUser("1")}
	expect.OK(t, s.AddUser(ctx, &f.user))
	f.service = account.ServiceAccount{
		UID: "SI1", OwnerUID: f.user.UID, Email: "service@example.com", Role: "service_account", State: "active",
	}
	expect.OK(t, s.AddServiceAccount(ctx, &f.service))
	f.key = apikey.Key{Kid: userKid, Algorithm: "HS256", State: "active", HolderUID: f.user.UID, Secret: "s"}
	expect.OK(t, s.AddAPIKey(ctx, &f.key))
	other := apikey.Key{Kid: serviceKid, Algorithm: "HS256", State: "active", HolderUID: f.service.UID, Secret: "s"}
	expect.OK(t, s.AddAPIKey(ctx, &other))
	f.permission = policy.Permission{Action: policy.Accept, Role: "member", Verb: "GET", Path: "api"}
	expect.OK(t, s.AddPermission(ctx, &f.permission))
	f.restriction = policy.Restriction{
		Category: policy.Blocklogin, Scope: policy.ScopeIP, Value: "192.0.2.1", Code: 423, State: "disabled",
	}
	expect.OK(t, s.AddRestriction(ctx, &f.restriction))
	expect.OK(t, s.UpdateSigningKeys(ctx, func([]token.SigningKey) ([]token.SigningKey, error) {
		return []token.SigningKey{{Kid: "k", Use: token.UseMail, Algorithm: "RS256", State: token.Active, PrivatePEM: []byte("p")}}, nil
	}))
	expect.OK(t, s.PutTOTPSecret(ctx, factor.TOTPSecret{UserUID: f.user.UID, Secret: []byte("s")}))
	return f
}

// A write is one verdict-changing call and the rows it must leave. Exactly one of account,
// policy and other is set; the first two are also run inside a transaction that fails.
type write struct {
	name, method string
	account      func(context.Context, Tx, *fixture) error
	policy       func(context.Context, policy.Tx, *fixture) error
	other        func(context.Context, Store, *fixture) error
	want         []feed.Change
}

func rowOf(kind feed.Kind, refs ...string) []feed.Change {
	var all []feed.Change
	for _, ref := range refs {
		all = append(all, feed.Change{Kind: kind, Ref: ref})
	}
	return all
}

func putUser(name string, change func(*account.User)) write {
	return write{
		name: "PutUser: " + name, method: "PutUser", want: rowOf(feed.Principal, "ID000000001"),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			u := f.user
			change(&u)
			return tx.PutUser(ctx, &u)
		},
	}
}

func putService(name string, change func(*account.ServiceAccount)) write {
	return write{
		name: "PutServiceAccount: " + name, method: "PutServiceAccount", want: rowOf(feed.Principal, "SI1"),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			a := f.service
			change(&a)
			return tx.PutServiceAccount(ctx, &a)
		},
	}
}

func putKey(name string, change func(*apikey.Key)) write {
	return write{
		name: "PutAPIKey: " + name, method: "PutAPIKey", want: rowOf(feed.Key, userKid),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			k := f.key
			change(&k)
			return tx.PutAPIKey(ctx, &k)
		},
	}
}

func signingKeys(name string, f func([]token.SigningKey) []token.SigningKey) write {
	return write{
		name: "UpdateSigningKeys: " + name, method: "UpdateSigningKeys", want: rowOf(feed.SigningKeys, ""),
		other: func(ctx context.Context, s Store, _ *fixture) error {
			return s.UpdateSigningKeys(ctx, func(all []token.SigningKey) ([]token.SigningKey, error) { return f(all), nil })
		},
	}
}

// writes is every verdict-changing method of the stores, in each way that it can change one.
var writes = []write{
	{
		name: "AddUser", method: "AddUser", want: rowOf(feed.Principal, "ID000000002"),
		account: func(ctx context.Context, tx Tx, _ *fixture) error {
			u := newUser("2")
			return tx.AddUser(ctx, &u)
		},
	},
	putUser("role", func(u *account.User) { u.Role = "admin" }),
	putUser("level", func(u *account.User) { u.Level = 3 }),
	putUser("state", func(u *account.User) { u.State = account.StateBanned }),
	putUser("proof of the address", func(u *account.User) { u.Unproved = true }),
	putUser("otp", func(u *account.User) { u.OTP = true }),
	putUser("e-mail", func(u *account.User) { u.Email = "new@example.com" }),
	putUser("username", func(u *account.User) { u.Username = nil }),
	putUser("referral", func(u *account.User) { u.ReferralID = new(u.ID) }),
	putUser("session generation", func(u *account.User) { u.SessionGeneration++ }),
	{
		name: "EndSessions", method: "EndSessions", want: rowOf(feed.Principal, "ID000000001"),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			_, err := tx.EndSessions(ctx, f.user.UID)
			return err
		},
	},
	{
		name: "RenewSession", method: "RenewSession", want: rowOf(feed.Principal, "ID000000001"),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			return tx.RenewSession(ctx, f.user.UID, account.Renewal{From: [32]byte{1}, To: [32]byte{2}, Until: until})
		},
	},
	{
		name: "AddServiceAccount", method: "AddServiceAccount", want: rowOf(feed.Principal, "SI2"),
		account: func(ctx context.Context, tx Tx, _ *fixture) error {
			return tx.AddServiceAccount(ctx, &account.ServiceAccount{UID: "SI2", Email: "two@example.com", Role: "r", State: "active"})
		},
	},
	putService("role", func(a *account.ServiceAccount) { a.Role = "maker" }),
	putService("level", func(a *account.ServiceAccount) { a.Level = 3 }),
	putService("state", func(a *account.ServiceAccount) { a.State = account.StateDisabled }),
	putService("e-mail", func(a *account.ServiceAccount) { a.Email = "new@example.com" }),
	putService("owner", func(a *account.ServiceAccount) { a.OwnerUID = "" }),
	{
		name: "AddAPIKey", method: "AddAPIKey", want: rowOf(feed.Key, "cc"),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			return tx.AddAPIKey(ctx, &apikey.Key{Kid: "cc", Algorithm: "HS256", State: "active", HolderUID: f.user.UID, Secret: "s"})
		},
	},
	putKey("state", func(k *apikey.Key) { k.State = apikey.Inactive }),
	putKey("scope", func(k *apikey.Key) { k.Scope = []string{"read"} }),
	putKey("enforcement of the scope", func(k *apikey.Key) { k.ScopeEnforced = true }),
	putKey("networks", func(k *apikey.Key) { k.Networks = apikey.Networks{netip.MustParsePrefix("192.0.2.0/24")} }),
	putKey("expiry", func(k *apikey.Key) { k.ExpiresAt = until }),
	{
		name: "DeleteAPIKey", method: "DeleteAPIKey", want: rowOf(feed.Key, userKid),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			return tx.DeleteAPIKey(ctx, f.user.UID, userKid)
		},
	},
	{
		name: "DeactivateAPIKeys: one row for each key", method: "DeactivateAPIKeys", want: rowOf(feed.Key, userKid, serviceKid),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			_, err := tx.DeactivateAPIKeys(ctx, f.user.UID)
			return err
		},
	},
	{
		name: "DeleteAPIKeys: one row for each key", method: "DeleteAPIKeys", want: rowOf(feed.Key, userKid, serviceKid),
		account: func(ctx context.Context, tx Tx, f *fixture) error {
			_, err := tx.DeleteAPIKeys(ctx, f.user.UID)
			return err
		},
	},
	{
		name: "AddPermission", method: "AddPermission", want: rowOf(feed.Policy, ""),
		policy: func(ctx context.Context, tx policy.Tx, _ *fixture) error {
			return tx.AddPermission(ctx, &policy.Permission{Action: policy.Drop, Role: "member", Verb: "GET", Path: "api"})
		},
	},
	{
		name: "PutPermission", method: "PutPermission", want: rowOf(feed.Policy, ""),
		policy: func(ctx context.Context, tx policy.Tx, f *fixture) error {
			f.permission.Path = "other"
			return tx.PutPermission(ctx, &f.permission)
		},
	},
	{
		name: "DeletePermission", method: "DeletePermission", want: rowOf(feed.Policy, ""),
		policy: func(ctx context.Context, tx policy.Tx, f *fixture) error {
			return tx.DeletePermission(ctx, f.permission.ID)
		},
	},
	{
		name: "AddRestriction", method: "AddRestriction", want: rowOf(feed.Policy, ""),
		policy: func(ctx context.Context, tx policy.Tx, _ *fixture) error {
			return tx.AddRestriction(ctx, &policy.Restriction{Category: policy.Blocklogin, Scope: policy.ScopeIP, Value: "192.0.2.9", State: "enabled"})
		},
	},
	{
		name: "AddRestriction: blocklogin for all ends every session", method: "AddRestriction",
		want: append(rowOf(feed.Policy, ""), rowOf(feed.Epoch, "")...),
		policy: func(ctx context.Context, tx policy.Tx, _ *fixture) error {
			return tx.AddRestriction(ctx, &policy.Restriction{Category: policy.Blocklogin, Scope: policy.ScopeAll, Value: "all", State: "enabled"})
		},
	},
	{
		name: "PutRestriction", method: "PutRestriction", want: rowOf(feed.Policy, ""),
		policy: func(ctx context.Context, tx policy.Tx, f *fixture) error {
			f.restriction.State = "enabled"
			return tx.PutRestriction(ctx, &f.restriction)
		},
	},
	{
		name: "PutRestriction: blocklogin for all ends every session", method: "PutRestriction",
		want: append(rowOf(feed.Policy, ""), rowOf(feed.Epoch, "")...),
		policy: func(ctx context.Context, tx policy.Tx, f *fixture) error {
			f.restriction.State, f.restriction.Scope, f.restriction.Value = "enabled", policy.ScopeAll, "all"
			return tx.PutRestriction(ctx, &f.restriction)
		},
	},
	{
		name: "DeleteRestriction", method: "DeleteRestriction", want: rowOf(feed.Policy, ""),
		policy: func(ctx context.Context, tx policy.Tx, f *fixture) error {
			return tx.DeleteRestriction(ctx, f.restriction.ID)
		},
	},
	{
		name: "EndSession", method: "EndSession",
		want: rowOf(feed.Session, hex.EncodeToString([]byte{1, 2, 31: 3})),
		other: func(ctx context.Context, s Store, _ *fixture) error {
			return s.EndSession(ctx, time.Hour, session.ID{1, 2, 31: 3})
		},
	},
	{
		name: "EndAll", method: "EndAll", want: rowOf(feed.Epoch, ""),
		account: func(ctx context.Context, tx Tx, _ *fixture) error {
			_, err := tx.EndAll(ctx)
			return err
		},
	},
	signingKeys("a new key", func(all []token.SigningKey) []token.SigningKey {
		return append(all, token.SigningKey{Kid: "new", Use: token.UseBearer, Algorithm: "RS256", State: token.Next, PrivatePEM: []byte("p")})
	}),
	signingKeys("a changed key", func(all []token.SigningKey) []token.SigningKey {
		all[0].State = token.Retiring
		return all
	}),
	signingKeys("a removed key", func([]token.SigningKey) []token.SigningKey { return nil }),
}

// quiet names the methods that change no verdict: each is called by quietCalls, or is the
// frame of a transaction.
var quiet = []string{
	"User", "UserByEmail", "CountUsers", "ServiceAccount", "ServiceAccountsOf", "ServiceAccountByEmail", "ServiceAccountPage", "UsersByUID", "Labels", "Label", "LabelHolders", "LabelCounts",
	"PutLabel", "DeleteLabel", "Levels", "PutLevel", "APIKeys", "APIKey", "TOTPSecret",
	"PutTOTPSecret", "AdvanceTOTP", "DeleteTOTPSecret", "PutRecoveryCodes", "RecoveryCodesLeft",
	"UseRecoveryCode", "DeleteRecoveryCodes", "UserHandle", "Passkeys", "PasskeyOf", "AddPasskey", "UsePasskey",
	"RenamePasskey", "DeletePasskey", "DeletePasskeys", "RoleExists", "AddActivity", "Principal",
	"KeyRecord", "NoteKeyUses", "Permissions", "Restrictions", "Rows", "UpdatePolicy", "EndedSessions", "Ended",
	"Epoch", "SigningKeys", "Emit", "Take", "Return", "Clear",
	"MailToken", "AddMailToken", "UseMailToken", "DeleteMailTokens", "SignedInBefore", "SessionStands",
	"AddVerification", "Verification", "NewestVerification", "FinishVerification",
	"Profiles", "ProfilePage", "AddProfile", "PutProfile", "DataStorages", "AddDataStorage", "DeleteDataStorage", "KYCSteps", "AddKYCStep",
	"Phones", "PhoneProved", "PhoneHolder", "PhoneAlias", "AddPhone", "DeletePhone", "PutPhoneCode", "TryPhoneCode", "ProvePhone", "ReleasePhones",
	"Documents", "Document", "DocumentFiles", "Lapsed", "AddDocument", "MarkLapsed",
	"Comments", "Comment", "AddComment", "PutComment", "DeleteComment",
	"Request", "RequestPage", "OverdueRequests", "AddRequest", "CloseRequest",
}

func quietCalls(s Store, f *fixture) map[string]func(context.Context) error {
	label := account.Label{UserUID: f.user.UID, Key: "email", Value: "verified", Scope: "private"}
	return map[string]func(context.Context) error{
		"User":      func(ctx context.Context) error { _, err := s.User(ctx, f.user.UID); return err },
		"Principal": func(ctx context.Context) error { _, err := s.Principal(ctx, f.user.UID); return err },
		"KeyRecord": func(ctx context.Context) error { _, err := s.KeyRecord(ctx, userKid); return err },
		"NoteKeyUses": func(ctx context.Context) error {
			return s.NoteKeyUses(ctx, []apikey.Use{{Kid: userKid, At: until}})
		},
		"Rows":        func(ctx context.Context) error { _, err := s.Rows(ctx); return err },
		"Profiles":    func(ctx context.Context) error { _, err := s.Profiles(ctx, f.user.UID); return err },
		"ProfilePage": func(ctx context.Context) error { _, _, err := s.ProfilePage(ctx, 1, 0); return err },
		"AddProfile": func(ctx context.Context) error {
			return s.AddProfile(ctx, &person.Profile{UserUID: f.user.UID, State: person.ProfileVerified})
		},
		"PutProfile": func(ctx context.Context) error {
			all, err := s.Profiles(ctx, f.user.UID)
			if err != nil || len(all) == 0 {
				return err
			}
			return s.PutProfile(ctx, &all[0])
		},
		"KYCSteps": func(ctx context.Context) error { _, err := s.KYCSteps(ctx, f.user.UID, "b"); return err },
		"AddKYCStep": func(ctx context.Context) error {
			err := s.AddKYCStep(ctx, f.user.UID, "b", "front", "id")
			if errors.Is(err, account.ErrTaken) {
				return nil
			}
			return err
		},
		"DataStorages": func(ctx context.Context) error { _, err := s.DataStorages(ctx, f.user.UID); return err },
		"AddDataStorage": func(ctx context.Context) error {
			return s.AddDataStorage(ctx, &person.DataStorage{UserUID: f.user.UID, Title: "personal", Data: "{}"})
		},
		"DeleteDataStorage": func(ctx context.Context) error {
			err := s.DeleteDataStorage(ctx, f.user.UID, "personal")
			if errors.Is(err, person.ErrNoStorage) {
				return nil
			}
			return err
		},
		"phones": func(ctx context.Context) error {
			const number, other = "447418084106", "447418084107"
			add := func(number string) error {
				return s.AddPhone(ctx, &person.Phone{UserUID: f.user.UID, Country: "GB", Number: number})
			}
			_, alias := s.PhoneAlias(number)
			added := errors.Join(alias, add(number), add(other), s.DeletePhone(ctx, f.user.UID, other))
			code := s.PutPhoneCode(ctx, f.user.UID, number, "12345", until)
			_, tried := s.TryPhoneCode(ctx, f.user.UID, number, "12345", 5, until.Add(-time.Minute))
			proved := s.ProvePhone(ctx, f.user.UID, number, until)
			_, asked := s.PhoneProved(ctx, number)
			_, listed := s.Phones(ctx, f.user.UID)
			_, released := s.ReleasePhones(ctx, f.user.UID)
			return errors.Join(added, code, tried, proved, asked, listed, released, s.DeletePhone(ctx, f.user.UID, number))
		},
		"Documents": func(ctx context.Context) error { _, err := s.Documents(ctx, f.user.UID); return err },
		"Document": func(ctx context.Context) error {
			if _, err := s.Document(ctx, "none"); !errors.Is(err, person.ErrNoDocument) {
				return fmt.Errorf("a document that is not there: %w", err)
			}
			return nil
		},
		"DocumentFiles": func(ctx context.Context) error { _, err := s.DocumentFiles(ctx, []string{"a"}); return err },
		"Lapsed":        func(ctx context.Context) error { _, err := s.Lapsed(ctx, "2026-11-30", 1); return err },
		"AddDocument": func(ctx context.Context) error {
			return s.AddDocument(ctx, &person.Document{ID: secret.UUID(), UserUID: f.user.UID, Type: "Passport", File: secret.UUID(), FileName: "a.png", Media: "image/png", Size: 1, Identificator: "a"})
		},
		"MarkLapsed": func(ctx context.Context) error { _, err := s.MarkLapsed(ctx, f.user.UID, "2026-11-30"); return err },
		"requests": func(ctx context.Context) error {
			r := account.Request{Action: account.ActionRevokeAll, AskerKind: "operator", Asker: "a command"}
			add := s.AddRequest(ctx, &r, time.Hour, 1000)
			_, one := s.Request(ctx, r.ID)
			_, _, all := s.RequestPage(ctx, account.RequestQuery{})
			_, overdue := s.OverdueRequests(ctx, 1)
			r.State = account.RequestRefused
			return errors.Join(add, one, all, overdue, s.CloseRequest(ctx, &r))
		},
		"comments": func(ctx context.Context) error {
			c := person.Comment{UserUID: f.user.UID, AuthorUID: f.user.UID, Title: "t", Data: "d"}
			add := s.AddComment(ctx, &c)
			_, one := s.Comment(ctx, c.ID)
			_, all := s.Comments(ctx, f.user.UID)
			return errors.Join(add, one, all, s.PutComment(ctx, &c), s.DeleteComment(ctx, c.ID))
		},
		"Ended": func(ctx context.Context) error { _, err := s.Ended(ctx, session.ID{}); return err },
		"SessionStands": func(ctx context.Context) error {
			_, err := s.SessionStands(ctx, f.user.UID, account.SessionMark{})
			return err
		},
		"Epoch": func(ctx context.Context) error { _, err := s.Epoch(ctx); return err },
		"SigningKeys": func(ctx context.Context) error {
			_, err := s.SigningKeys(ctx)
			return err
		},
		"labels and levels": func(ctx context.Context) error {
			return errors.Join(s.PutLabel(ctx, &label), s.PutLevel(ctx, account.Level{ID: 1, Key: "k", Value: "v"}),
				s.DeleteLabel(ctx, f.user.UID, "email", "private"))
		},
		"limits": func(ctx context.Context) error {
			r := limit.Rule{Burst: 1, Period: time.Minute}
			_, err := s.Take(ctx, "k", r, until)
			_, refused := s.Take(ctx, "k", r, until)
			return errors.Join(err, refused, s.Return(ctx, "k", r, until), s.Clear(ctx, "k"))
		},
		"totp": func(ctx context.Context) error {
			_, err := s.AdvanceTOTP(ctx, f.user.UID, 9)
			return err
		},
		"recovery codes": func(ctx context.Context) error {
			put := s.PutRecoveryCodes(ctx, f.user.UID, factor.RecoveryCodes{"abcd-efgh-ijkl-mnop"})
			_, used := s.UseRecoveryCode(ctx, f.user.UID, "abcd-efgh-ijkl-mnop")
			_, left := s.RecoveryCodesLeft(ctx, f.user.UID)
			return errors.Join(put, used, left, s.DeleteRecoveryCodes(ctx, f.user.UID))
		},
		"passkeys": func(ctx context.Context) error {
			p := factor.Passkey{UserUID: f.user.UID, Name: "n", CredentialID: []byte("c"), PublicKey: []byte("k")}
			_, handle := s.UserHandle(ctx, f.user.UID, []byte("h"))
			add := s.AddPasskey(ctx, &p, 1)
			_, list := s.Passkeys(ctx, f.user.UID)
			_, load := s.PasskeyOf(ctx, p.CredentialID)
			changed := errors.Join(s.UsePasskey(ctx, f.user.UID, p.ID, 1), s.RenamePasskey(ctx, f.user.UID, p.ID, "m"),
				s.DeletePasskey(ctx, f.user.UID, p.ID))
			_, none := s.DeletePasskeys(ctx, f.user.UID)
			return errors.Join(handle, add, list, load, changed, none)
		},
		"mail tokens": func(ctx context.Context) error {
			m := signin.MailToken{Hash: [32]byte{1}, UserUID: f.user.UID, Purpose: token.Reset, ExpiresAt: until}
			_, used := s.UseMailToken(ctx, [32]byte{2}, until)
			return errors.Join(s.AddMailToken(ctx, m, 1), used, s.DeleteMailTokens(ctx, f.user.UID, ""))
		},
		"verifications": func(ctx context.Context) error {
			v := person.Verification{VerificationID: "v", ApplicantID: "a", UserUID: f.user.UID, Kind: person.KYCAddress}
			return errors.Join(s.AddVerification(ctx, &v), s.FinishVerification(ctx, "v", person.KYCVerified))
		},
		"an activity": func(ctx context.Context) error {
			return s.AddActivity(ctx, audit.Activity{ActorKind: "user", Topic: "t", CreatedAt: until})
		},
		"Emit": func(ctx context.Context) error {
			return s.Emit(ctx, event.AccountDeleted(event.User{UID: f.user.UID}))
		},
		"PutUser with the same principal": func(ctx context.Context) error {
			u := f.user
			u.PasswordDigest, u.Data = "$2a$12$y", new("{}")
			return s.PutUser(ctx, &u)
		},
		"PutServiceAccount with the same principal": func(ctx context.Context) error {
			a := f.service
			return s.PutServiceAccount(ctx, &a)
		},
		"DeactivateAPIKeys without active keys": func(ctx context.Context) error {
			_, err := s.DeactivateAPIKeys(ctx, "ID404")
			return err
		},
		"UpdateSigningKeys that changes nothing": func(ctx context.Context) error {
			return s.UpdateSigningKeys(ctx, func(all []token.SigningKey) ([]token.SigningKey, error) { return all, nil })
		},
		"an Update that only reads": func(ctx context.Context) error {
			return s.Update(ctx, func(tx Tx) error { _, err := tx.User(ctx, f.user.UID); return err })
		},
		"an UpdatePolicy that only reads": func(ctx context.Context) error {
			return s.UpdatePolicy(ctx, func(tx policy.Tx) error { _, err := tx.Permissions(ctx); return err })
		},
		"DeleteChanges": func(ctx context.Context) error {
			_, err := s.DeleteChanges(ctx, time.Unix(0, 0))
			return err
		},
	}
}

// failingCalls are writes that find nothing or collide.
func failingCalls(s Store, f *fixture) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"AddUser": func(ctx context.Context) error { u := f.user; return s.AddUser(ctx, &u) },
		"PutUser": func(ctx context.Context) error { u := newUser("9"); return s.PutUser(ctx, &u) },
		"AddServiceAccount": func(ctx context.Context) error {
			a := f.service
			return s.AddServiceAccount(ctx, &a)
		},
		"AddAPIKey":    func(ctx context.Context) error { k := f.key; return s.AddAPIKey(ctx, &k) },
		"PutAPIKey":    func(ctx context.Context) error { return s.PutAPIKey(ctx, &apikey.Key{Kid: "404"}) },
		"DeleteAPIKey": func(ctx context.Context) error { return s.DeleteAPIKey(ctx, f.user.UID, "404") },
		"RenewSession": func(ctx context.Context) error { return s.RenewSession(ctx, "ID404", account.Renewal{}) },
		"EndSessions":  func(ctx context.Context) error { _, err := s.EndSessions(ctx, "ID404"); return err },
		"AddPermission": func(ctx context.Context) error {
			p := f.permission
			return s.AddPermission(ctx, &p)
		},
		"DeletePermission": func(ctx context.Context) error { return s.DeletePermission(ctx, 404) },
		"AddRestriction": func(ctx context.Context) error {
			r := f.restriction
			return s.AddRestriction(ctx, &r)
		},
		"DeleteRestriction": func(ctx context.Context) error { return s.DeleteRestriction(ctx, 404) },
		"UpdateSigningKeys": func(ctx context.Context) error {
			return s.UpdateSigningKeys(ctx, func([]token.SigningKey) ([]token.SigningKey, error) {
				return nil, errors.New("oops")
			})
		},
	}
}
