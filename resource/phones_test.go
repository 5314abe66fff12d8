package resource_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest/resttest"
)

const (
	phones      = base + "/phones"
	phone       = "+447418084106"
	otherPhone  = "+380971232322"
	shownPhone  = "44******4106"
	sentMessage = `{"message":"Code was sent successfully via %s"}`
)

// phoneWorld is newWorld with an inbox for codes.
func phoneWorld(t testing.TB) (*world, *worldtest.Inbox) {
	t.Helper()
	w, inbox := newWorld(t), &worldtest.Inbox{}
	w.Account.Phones = inbox
	w.Restart()
	return w, inbox
}

// sentCode is that of the one message that was sent.
func sentCode(t testing.TB, inbox *worldtest.Inbox) string {
	t.Helper()
	all := inbox.Take()
	if len(all) != 1 {
		t.Fatalf("%d messages, want one", len(all))
	}
	return all[0].Code
}

// otherCode is one that is not this one.
func otherCode(code string) string {
	if code == "00000" {
		return "11111"
	}
	return "00000"
}

func askFor(t testing.TB, c *resttest.Client, path, number string) resttest.Answer {
	t.Helper()
	return c.JSON(t, "POST", phones+path, map[string]any{"phone_number": number})
}

func verifyPhone(t testing.TB, c *resttest.Client, number, code string) resttest.Answer {
	t.Helper()
	return c.JSON(t, "POST", phones+"/verify", map[string]any{"phone_number": number, "verification_code": code})
}

// A phone is added, its code entered wrong and sent again, and verified; the account shows it.
func TestPhones(t *testing.T) {
	w, inbox := phoneWorld(t)
	w.Secret(strings.TrimPrefix(phone, "+"))
	c := w.mine()
	c.Get(t, phones).Want(t, 200, `[]`)
	c.Form(t, "POST", phones, form("phone_number", " +44 07418-084106 ")).Want(t, 200, fmt.Sprintf(sentMessage, "sms"))
	first := sentCode(t, inbox)
	c.Get(t, phones).Want(t, 200, `[{"country":"GB","number":"`+shownPhone+`","validated_at":null}]`)
	w.As(stranger).Get(t, phones).Want(t, 200, `[]`)
	askFor(t, c, "", phone).WantTokens(t, 400, "resource.phone.exists")
	askFor(t, c, "/send_code", phone).WantTokens(t, 429, "resource.phone.too_many_requests")
	verifyPhone(t, c, phone, otherCode(first)).WantTokens(t, 404, "resource.phone.verification_invalid")
	w.Now = w.Now.Add(11 * time.Minute)
	verifyPhone(t, c, phone, first).WantTokens(t, 404, "resource.phone.verification_invalid")
	c.Form(t, "POST", phones+"/send_code", form("phone_number", phone, "channel", "call")).Want(t, 200, fmt.Sprintf(sentMessage, "call"))
	var user struct {
		Level  int
		Phones []map[string]any
	}
	a := verifyPhone(t, c, phone, sentCode(t, inbox))
	expect.Equal(t, a.Status, 201)
	a.Into(t, &user)
	expect.Equal(t, []any{user.Level, len(user.Phones), user.Phones[0]["number"], user.Phones[0]["country"], user.Phones[0]["validated_at"]},
		[]any{2, 1, shownPhone, "GB", "2026-11-21T08:11:00.000Z"})
	for _, path := range []string{"", "/send_code"} {
		askFor(t, c, path, phone).WantTokens(t, 400, "resource.phone.number_exist")
		askFor(t, w.As(stranger), path, "++44 7418 084106").WantTokens(t, 400, "resource.phone.number_exist")
	}
	verifyPhone(t, c, phone, "12345").WantTokens(t, 400, "resource.phone.number_exist")
	verifyPhone(t, w.As(stranger), phone, "12345").WantTokens(t, 400, "resource.phone.number_exist")
	verifyPhone(t, w.As(stranger), otherPhone, "12345").WantTokens(t, 404, "resource.phone.doesnt_exist")
	askFor(t, w.As(stranger), "/send_code", otherPhone).WantTokens(t, 404, "resource.phone.doesnt_exist")
	w.As(stranger).Get(t, phones).Want(t, 200, `[]`)
	expect.Equal(t, w.Deeds(me), []string{
		"account phone create succeed", `account phone verify failed {"reason":"Code is wrong or lapsed"}`,
		`account phone verify failed {"reason":"Code is wrong or lapsed"}`, "account phone code succeed", "account phone verify succeed",
	})
	var told []string
	for _, e := range w.News() { // which looks for the number in each
		told = append(told, e.Name)
	}
	expect.Equal(t, told, []string{"model.label.created", "model.user.updated"})
}

// Without masks the owner sees the whole number.
func TestPhonesUnmasked(t *testing.T) {
	w, _ := phoneWorld(t)
	w.Mount()
	w.Resource.Masks = false
	askFor(t, w.mine(), "", phone).Want(t, 200, fmt.Sprintf(sentMessage, "sms"))
	w.mine().Get(t, phones).Want(t, 200, `[{"country":"GB","number":"447418084106","validated_at":null}]`)
}

func TestRefusedPhones(t *testing.T) {
	w, inbox := phoneWorld(t)
	c := w.mine()
	for _, path := range []string{"", "/send_code"} {
		for name, test := range map[string]struct {
			body   map[string]any
			status int
			tokens []string
		}{
			"nothing":          {nil, 400, []string{"resource.phone.missing_phone_number", "resource.phone.empty_phone_number"}},
			"null":             {map[string]any{"phone_number": nil}, 400, []string{"resource.phone.empty_phone_number"}},
			"blank":            {map[string]any{"phone_number": " "}, 400, []string{"resource.phone.empty_phone_number"}},
			"no number":        {map[string]any{"phone_number": "123"}, 400, []string{"resource.phone.invalid_num"}},
			"a premium number": {map[string]any{"phone_number": "+449098790000"}, 400, []string{"resource.phone.invalid_num"}},
			"an odd channel":   {map[string]any{"phone_number": phone, "channel": "pigeon"}, 422, []string{"resource.phone.invalid_channel"}},
			"a list":           {map[string]any{"phone_number": []string{phone}}, 422, []string{"invalid"}},
			"a channel's list": {map[string]any{"phone_number": phone, "channel": []string{"sms"}}, 422, []string{"invalid", "resource.phone.invalid_channel"}},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				c.JSON(t, "POST", phones+path, test.body).WantTokens(t, test.status, test.tokens...)
			})
		}
	}
	c.JSON(t, "POST", phones+"/verify", nil).WantTokens(t, 400,
		"resource.phone.missing_phone_number", "resource.phone.empty_phone_number",
		"resource.phone.missing_verification_code", "resource.phone.empty_verification_code")
	c.JSON(t, "POST", phones+"/verify", map[string]any{"phone_number": phone, "verification_code": []string{"1"}}).WantTokens(t, 422, "invalid")
	verifyPhone(t, c, "123", "12345").WantTokens(t, 400, "resource.phone.invalid_num")
	c.Get(t, phones).Want(t, 200, `[]`)
	expect.Equal(t, len(inbox.Take()), 0)
	w.Faults.Fail(apitest.ErrOutage, "Update")
	askFor(t, c, "", phone).WantTokens(t, 503, "server.internal_error")
}

// Each refusal of the provider is a token of its own, and none is a fault.
func TestRefusalsByTheProviderOfCodes(t *testing.T) {
	for want, err := range map[string]error{
		"num_not_reachable":      person.ErrPhoneUnreachable,
		"num_not_valid":          person.ErrPhoneInvalid,
		"sms_content_invalid":    person.ErrPhoneContent,
		"unsubscribed_recipient": person.ErrPhoneUnsubscribed,
		"twilio_unexpected":      errors.New("it speaks in riddles"),
	} {
		w, inbox := phoneWorld(t)
		inbox.Fail = fmt.Errorf("send: %w", err)
		c := w.mine()
		askFor(t, c, "", phone).WantTokens(t, 422, "resource.phone."+want)
		w.Now = w.Now.Add(time.Minute)
		askFor(t, c, "/send_code", phone).WantTokens(t, 422, "resource.phone."+want)
		inbox.Makes = "123456"
		verifyPhone(t, c, phone, "123456").WantTokens(t, 422, "resource.phone.twilio_unexpected")
	}
	c := newWorld(t).mine() // which has no provider
	askFor(t, c, "", phone).WantTokens(t, 422, "resource.phone.verification_off")
	askFor(t, c, "/send_code", phone).WantTokens(t, 422, "resource.phone.verification_off")
	verifyPhone(t, c, phone, "12345").WantTokens(t, 422, "resource.phone.verification_off")
}

func TestAllPhonesProved(t *testing.T) {
	w, inbox := phoneWorld(t)
	c := w.mine()
	for n := range 5 {
		w.Now = w.Now.Add(3 * time.Hour) // or the account has to wait
		number := fmt.Sprintf("+44741808410%d", n)
		askFor(t, c, "", number).Want(t, 200, fmt.Sprintf(sentMessage, "sms"))
		expect.Equal(t, verifyPhone(t, c, number, sentCode(t, inbox)).Status, 201)
	}
	askFor(t, c, "", otherPhone).WantTokens(t, 400, "resource.phone.limit_reached")
}

// Texts that nobody would send are refused as the document says, whatever they are and wherever.
func TestHostileNumbers(t *testing.T) {
	w, _ := phoneWorld(t)
	often := limit.Rule{Burst: 100000, Period: time.Minute}
	w.Account.Unlimited = true
	w.Account.PhoneLimits = person.PhoneLimits{Ask: often, AskNetwork: often, Pause: often, Number: often, Owner: often, Network: often}
	w.Restart()
	c := w.mine()
	texts := []string{
		"\x00", "+44\x007418084106", "\xff\xfe", "+", "++++", "-1", "1e9", "NaN", "+44 7418084106;ext=5", "tel:+447418084106;phone-context=x",
		strings.Repeat("9", 100_000), strings.Repeat("+", 100_000), strings.Repeat("٤", 50_000), "+44'; DROP TABLE phones; --", "<script>", "+१२३४५६७८९०",
		"\u202e+447418084106", "+800 1234 5678", "{}", "null",
	}
	for _, path := range []string{"", "/send_code", "/verify"} {
		for _, text := range texts {
			for media, body := range map[string]string{
				"application/json":                  fmt.Sprintf(`{"phone_number":%q,"verification_code":%q,"channel":"sms"}`, text, text),
				"application/x-www-form-urlencoded": form("phone_number", text, "verification_code", text).Encode(),
				"text/plain":                        text,
			} {
				a := c.Send(t, "POST", phones+path, media, body) // which holds the answer against the document
				if a.Status < 200 || a.Status >= 500 {
					t.Errorf("%s %.40q as %s: %d %s", path, text, media, a.Status, a.Body)
				}
			}
		}
	}
	for _, text := range texts { // as a code of a phone that waits for one
		a := verifyPhone(t, c, phone, text)
		if a.Status < 400 || a.Status >= 500 {
			t.Errorf("code %.40q: %d %s", text, a.Status, a.Body)
		}
	}
}

// Of accounts that verify one number at the same moment one gets it.
func TestOneNumberAtOnce(t *testing.T) {
	w, inbox := phoneWorld(t)
	often := limit.Rule{Burst: 100, Period: time.Minute}
	w.Account.PhoneLimits = person.PhoneLimits{Pause: often}
	w.Restart()
	clients := []*resttest.Client{w.mine(), w.As(stranger)}
	codes := make([]string, len(clients))
	for i, c := range clients {
		askFor(t, c, "", phone)
		codes[i] = sentCode(t, inbox)
	}
	answers := make([]resttest.Answer, len(clients))
	var group sync.WaitGroup
	for i, c := range clients {
		group.Go(func() { answers[i] = verifyPhone(t, c, phone, codes[i]) })
	}
	group.Wait()
	won := 0
	for _, a := range answers {
		if a.Status == http.StatusCreated {
			won++
		} else {
			a.WantTokens(t, 400, "resource.phone.number_exist")
		}
	}
	expect.Equal(t, won, 1)
}

// Nothing in the database shows a number or a code.
func TestPhonesAreSealed(t *testing.T) {
	w, inbox := phoneWorld(t)
	askFor(t, w.mine(), "", phone)
	held := sentCode(t, inbox)
	list := expect.Must(w.DB.Phones(t.Context(), me))(t)
	expect.Equal(t, []any{list[0].Number, list[0].Country}, []any{"447418084106", "GB"})
	w.Faults.Fail(account.ErrSeal, "Open")
	w.mine().Get(t, phones).WantTokens(t, 500, "server.internal_error")
	w.Faults.Fail(nil, "Open")
	w.Faults.Fail(account.ErrSeal, "Seal")
	w.Now = w.Now.Add(time.Minute)
	askFor(t, w.mine(), "", otherPhone).WantTokens(t, 500, "server.internal_error")
	w.Faults.Fail(nil, "Seal")
	expect.Equal(t, verifyPhone(t, w.mine(), phone, held).Status, 201)
}
