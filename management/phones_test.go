package management_test

import (
	"strings"
	"testing"

	"barong/internal/expect"
	"barong/internal/person"
)

const phoneView = `{"country":"GB","number":"447418084106","validated_at":"2026-11-21T08:00:00.000Z"}`

func TestPhones(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "/phones/get", m{"uid": "MEMBER"}).Want(t, 201, `[]`)
	w.ask(t, "/phones", m{"uid": "MEMBER", "number": "+44 7418 084106"}).Want(t, 201, phoneView)
	w.ask(t, "/phones/get", m{"uid": "MEMBER"}).Want(t, 201, "["+phoneView+"]")
	if w.labels("MEMBER") != nil {
		t.Error("the label phone was given")
	}
	for _, uid := range []string{"MEMBER", "TRADER"} {
		w.ask(t, "/phones", m{"uid": uid, "number": "447418084106"}).Want(t, 400, `{"error":"management.phone.number_exist"}`)
	}
	expect.OK(t, w.DB.AddPhone(t.Context(), &person.Phone{UserUID: "TRADER", Country: "GB", Number: "447418084107"}))
	w.ask(t, "/phones", m{"uid": "TRADER", "number": "447418084107"}).Want(t, 400, `{"error":"management.phone.exists"}`)
	w.ask(t, "/phones", m{"uid": "MEMBER", "number": "12"}).Want(t, 400, `{"error":"management.phone.invalid_num"}`)

	for path, bad := range map[string]string{"/phones/get": `{"error":"uid is missing, uid is empty"}`,
		"/phones":        `{"error":"uid is missing, uid is empty, number is missing, number is empty"}`,
		"/phones/delete": `{"error":"uid is missing, uid is empty, number is missing, number is empty"}`} {
		w.ask(t, path, m{}).Want(t, 422, bad)
		w.ask(t, path, m{"uid": "NOBODY", "number": "447418084106"}).Want(t, 422, `{"error":"user.doesnt_exist"}`)
	}
	for _, number := range []string{"invalid_number", "447418084107"} {
		w.ask(t, "/phones/delete", m{"uid": "MEMBER", "number": number}).Want(t, 422, `{"error":"management.phone.doesnt_exists"}`)
	}
	w.ask(t, "/phones/delete", m{"uid": "MEMBER", "number": "447418084106"}).Want(t, 201, phoneView)
	w.ask(t, "/phones/get", m{"uid": "MEMBER"}).Want(t, 201, `[]`)
	// One of two goes, and the other stays.
	w.ask(t, "/phones", m{"uid": "MEMBER", "number": "447418084106"}).Want(t, 201, phoneView)
	w.ask(t, "/phones", m{"uid": "MEMBER", "number": "380971232322"})
	w.ask(t, "/phones/delete", m{"uid": "MEMBER", "number": "380971232322"}).Want(t, 201, strings.NewReplacer("GB", "UA", "447418084106", "380971232322").Replace(phoneView))
	w.ask(t, "/phones/get", m{"uid": "MEMBER"}).Want(t, 201, "["+phoneView+"]")
}
