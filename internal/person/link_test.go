package person_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"barong/internal/account/worldtest"
	"barong/internal/expect"
	"barong/internal/person"
)

// A link opens its file for as long as it was made for, also when another key makes links by now; under keys
// of others it opens nothing.
func TestLinksOutliveTheirKey(t *testing.T) {
	master := func(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }
	a := newArchive(t, func(cfg *worldtest.Config) { cfg.Links = expect.Must(person.NewLinks(time.Minute, master(1)))(t) })
	a.Must(a.add(passport(upload("a.jpg", picture(t, "jpg")))))
	link := a.Persons.Link(a.documents()[0])
	open := func(links *person.Links, l person.Link) error {
		a.cfg.Links = links
		a.Serve(a.cfg, a.Hasher, nil)
		_, content, err := a.Persons.OpenFile(t.Context(), l)
		if err == nil {
			expect.OK(t, content.Close())
		}
		return err
	}
	former := expect.Must(person.NewLinks(time.Minute, master(2), master(1)))(t)
	expect.OK(t, open(former, link))
	fresh := a.Persons.Link(a.documents()[0])
	if fresh.Signature == link.Signature {
		t.Error("the former key makes links")
	}
	expect.OK(t, open(former, fresh))
	expect.Error(t, open(expect.Must(person.NewLinks(time.Minute, master(2), master(3)))(t), link), person.ErrLink)
	link.Expires++
	expect.Error(t, open(former, link), person.ErrLink)
	link.Expires--
	a.Now = a.Now.Add(time.Minute)
	if err := open(former, link); !errors.Is(err, person.ErrLink) {
		t.Errorf("after its life: %v", err)
	}
}
