package account_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/person"
	"barong/internal/signin"
)

// unannounced are the writing verbs that emit no event by themselves, with the reason.
var unannounced = map[string]string{
	"AddServiceAccount":   "consumers know users alone",
	"PutServiceAccount":   "consumers know users alone",
	"PutLevel":            "a level is part of the installation",
	"EndSessions":         "a counter of this service's own",
	"EndAll":              "a counter of this service's own",
	"RenewSession":        "a session is this service's own",
	"DeactivateAPIKeys":   "keys are this service's own",
	"DeleteAPIKeys":       "keys are this service's own",
	"AddAPIKey":           "keys are this service's own",
	"PutAPIKey":           "keys are this service's own",
	"DeleteAPIKey":        "keys are this service's own",
	"PutTOTPSecret":       "the user's flag announces itself",
	"AdvanceTOTP":         "a counter of this service's own",
	"DeleteTOTPSecret":    "the user's flag announces itself",
	"UserHandle":          "nobody else knows it",
	"AddPasskey":          "the room that has it announces it",
	"UsePasskey":          "a counter of this service's own",
	"RenamePasskey":       "nobody else knows it",
	"DeletePasskey":       "nobody else knows it",
	"DeletePasskeys":      "nobody else knows it",
	"PutRecoveryCodes":    "nobody else takes them",
	"UseRecoveryCode":     "the mail is an event of its own",
	"DeleteRecoveryCodes": "nobody else takes them",
	"AddMailToken":        "the mail is an event of its own, with the link",
	"UseMailToken":        "what a link is for announces itself",
	"DeleteMailTokens":    "what a link is for announces itself",
	"AddVerification":     "the label that it decides announces itself",
	"FinishVerification":  "the label that it decides announces itself",
	"AddProfile":          "the room that has it announces it, with its label",
	"PutProfile":          "the room that has it announces it, with its label",
	"AddDataStorage":      "the room that has it announces it, with its label",
	"DeleteDataStorage":   "consumers know what is made alone",
	"AddPhone":            "the label that its proof brings announces itself",
	"DeletePhone":         "consumers know its label alone",
	"PutPhoneCode":        "a code is this service's own",
	"TryPhoneCode":        "a counter of this service's own",
	"ProvePhone":          "the label that it brings announces itself",
	"ReleasePhones":       "the user's state announces itself",
	"AddKYCStep":          "a mark of this service's own",
	"AddDocument":         "the room that has it announces it, with its label",
	"MarkLapsed":          "a mark of this service's own",
	"AddComment":          "staff alone know it",
	"PutComment":          "staff alone know it",
	"DeleteComment":       "staff alone know it",
	"AddRequest":          "Writer.Ask announces it",
	"CloseRequest":        "Writer.Decide announces it",
	"AddActivity":         "a record, not a change",
	"Emit":                "it is the event",
}

// reading are the verbs that write nothing.
var reading = []string{
	"User", "UserByEmail", "CountUsers", "ServiceAccount", "ServiceAccountsOf", "ServiceAccountByEmail", "ServiceAccountPage", "UsersByUID", "Labels", "Label", "LabelHolders", "LabelCounts", "Levels", "RoleExists",
	"Request", "RequestPage", "OverdueRequests", "SignedInBefore", "SessionStands", "MailToken", "TOTPSecret", "RecoveryCodesLeft", "Passkeys", "PasskeyOf", "APIKeys", "APIKey", "Verification", "NewestVerification",
	"Profiles", "ProfilePage", "DataStorages", "Documents", "Document", "DocumentFiles", "Lapsed", "KYCSteps", "Comments", "Comment", "Phones", "PhoneProved", "PhoneHolder", "PhoneAlias",
}

// Every verb of a transaction announces its writes, or is exempt by name: one that comes to be
// must be placed here.
func TestEveryWritingVerbIsAnnouncedOrExempt(t *testing.T) {
	announced := announcedVerbs(t)
	if want := []string{"AddUser", "DeleteLabel", "PutLabel", "PutUser"}; !slices.Equal(announced, want) {
		t.Errorf("announced are %v, want %v", announced, want)
	}
	verbs := map[string]bool{}
	for _, tx := range []reflect.Type{
		reflect.TypeFor[account.Tx](), reflect.TypeFor[signin.Tx](), reflect.TypeFor[factor.Tx](),
		reflect.TypeFor[apikey.Tx](), reflect.TypeFor[person.Tx](),
	} {
		for m := range tx.Methods() {
			verbs[m.Name] = true
			places := 0
			for _, in := range []bool{slices.Contains(announced, m.Name), unannounced[m.Name] != "", slices.Contains(reading, m.Name)} {
				if in {
					places++
				}
			}
			if places != 1 {
				t.Errorf("%v.%s is announced, exempt or reading in %d ways, want one", tx, m.Name, places)
			}
		}
	}
	for _, name := range slices.Concat(announced, reading, slices.Collect(maps.Keys(unannounced))) {
		if !verbs[name] {
			t.Errorf("%s is no verb of any transaction", name)
		}
	}
}

// announcedVerbs are the methods by which the announcing transaction replaces the store's, sorted.
func announcedVerbs(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "emit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv == nil || !f.Name.IsExported() || strings.HasPrefix(f.Name.Name, "Emit") {
			continue
		}
		if of, ok := f.Recv.List[0].Type.(*ast.Ident); ok && of.Name == "announcing" {
			names = append(names, f.Name.Name)
		}
	}
	slices.Sort(names)
	return names
}

// A service writes in its one announcing transaction: nothing else has the store's.
func TestOnlyUpdateCommits(t *testing.T) {
	for _, room := range []string{".", "../signin", "../factor", "../apikey", "../person"} {
		names, err := filepath.Glob(filepath.Join(room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Body == nil {
					continue
				}
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "commit" {
						found++
						if f.Name.Name != "update" && f.Name.Name != "updateQuietly" {
							t.Errorf("%s: %s uses the store's transaction; want Service.update", name, f.Name.Name)
						}
					}
					return true
				})
			}
		}
		if found == 0 {
			t.Errorf("%s: no transaction is found", room)
		}
	}
}
