package signin_test

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/signin"
)

// The language of a mail: the request's, then the user's own, then the browser's.
func TestLanguageOfMails(t *testing.T) {
	for _, c := range []struct{ said, data, browser, want string }{
		{"", ``, "", "fr"},
		{"ru", `{"language":"DE"}`, "es", "ru"},
		{"EN-us", `{"language":"DE"}`, "", "en"},
		{"zh_Hant", ``, "", "zh"},
		{"", `{"language":"DE"}`, "es", "de"},
		{"", ``, "es", "es"},
		{"", `{"language":5}`, "es-AR", "es"},
		{"", ``, "*", "fr"},
		{"", `{"language":" de-CH "}`, "", "de"},
		{"", `{"Language":"DE"}`, "", "fr"},
		{"", `{"language":5}`, "", "fr"},
		{"", `{"language":"deutsch"}`, "", "fr"},
		{"*", `{"language":"d3"}`, "", "fr"},
		{"../x", `{"language":{"a":1}}`, "", "fr"},
	} {
		w := newWorld(t, worldtest.Config{DefaultLanguage: "FR"})
		u := w.User("a@example.com", 0)
		w.Put(u.UID, func(u *account.User) {
			if c.data != "" {
				u.Data = &c.data
			}
		})
		w.News()
		client := browser
		client.Language = c.browser
		w.Must(w.SignIns.SendReset(t.Context(), signin.MailRequest{Email: u.Email, Language: c.said, Client: client}))
		if news := w.News(); len(news) != 1 || news[0].Language != c.want || worldtest.Member(news[0], "language") != c.want {
			t.Errorf("said %q, data %s, browser %q: %v, want %s", c.said, c.data, c.browser, worldtest.Names(news), c.want)
		}
	}
}
