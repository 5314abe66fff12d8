package token

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func partyOf(t *testing.T, bearer string) string {
	t.Helper()
	party, _ := payload(t, strings.TrimPrefix(bearer, prefix), 1)["azp"].(string)
	return party
}

// Design D7d: one slot keeps a token of each party, and gives none to another.
func TestASlotKeepsATokenOfEachParty(t *testing.T) {
	m, _, _, now := fixture(t, EdDSA)
	var slot Slot
	parties := []string{PartyBarong, PartyComponents, "peatio", "ranger"}
	got := map[string]string{}
	for i, party := range parties {
		c := user()
		c.Party = party
		at := now.now().Add(time.Duration(i) * time.Second)
		if _, ok := m.Reuse(&slot, party, 7, at); ok {
			t.Errorf("%s is given what was minted for another", party)
		}
		bearer, err := m.Mint(&slot, 7, c, at)
		if err != nil {
			t.Fatal(err)
		}
		if p := partyOf(t, bearer); p != party {
			t.Errorf("azp is %q, want %q", p, party)
		}
		got[party] = bearer
	}
	at := now.now().Add(10 * time.Second)
	for _, party := range parties {
		if bearer, ok := m.Reuse(&slot, party, 7, at); !ok || bearer != got[party] {
			t.Errorf("%s: its token is not given again", party)
		}
		_, err := m.Verify(strings.TrimPrefix(got[party], prefix), at)
		if ours := party == PartyBarong; (err == nil) != ours {
			t.Errorf("%s: Verify says %v, want it accepted: %v", party, err, ours)
		}
	}
	c := user()
	c.Party = ""
	if bearer, err := m.Mint(&slot, 7, c, at); err == nil {
		t.Errorf("a token for nobody is minted: %s", bearer)
	}
}

// However many parties are asked for, a slot holds few tokens, and those whose time is over
// go with the next mint.
func TestTheTokensOfASlotAreBounded(t *testing.T) {
	m, _, _, now := fixture(t, EdDSA)
	var slot Slot
	held := func() (n int) {
		seen := map[string]bool{}
		for e := slot.last.Load(); e != nil; e = e.older {
			if seen[e.party] {
				t.Errorf("two tokens for %s", e.party)
			}
			seen[e.party] = true
			n++
		}
		return n
	}
	at := now.now()
	for i := range 100 {
		c := user()
		c.Party = fmt.Sprintf("component-%d", i%40)
		if _, err := m.Mint(&slot, int64(i), c, at.Add(time.Duration(i)*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if n := held(); n != maxParties {
		t.Errorf("the slot holds %d tokens, want %d", n, maxParties)
	}
	if _, err := m.Mint(&slot, 1, user(), at.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := held(); n != 1 {
		t.Errorf("after their time %d tokens are held, want the new one alone", n)
	}
	if slot.Trim(at.Add(2 * time.Minute)) {
		t.Error("Trim drops a token that may be reused")
	}
}
