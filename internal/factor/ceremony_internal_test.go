package factor

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A challenge is answered under the key that made it, whichever key is the present one, and under no other.
func TestChallengesOutliveTheirKey(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	master := func(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }
	made := func(keys ...byte) *Challenges {
		var others [][]byte
		for _, k := range keys[1:] {
			others = append(others, master(k))
		}
		c, err := NewChallenges(master(keys[0]), others...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := made(1)
	cookie, challenge := before.make(toSignIn, now)
	for name, c := range map[string]struct {
		by    *Challenges
		knows bool
	}{
		"the key that made it": {before, true}, "one among others": {made(1, 2), true}, "a former key": {made(2, 1), true},
		"of several": {made(2, 3, 1), true}, "none of them": {made(2, 3), false},
	} {
		got, left, ok := c.by.find(cookie, toSignIn, now.Add(time.Minute))
		if ok != c.knows || ok && (!bytes.Equal(got, challenge) || left != ChallengeLife-time.Minute) {
			t.Errorf("%s: known %v, with %v left", name, ok, left)
		}
	}
	after := made(2, 1)
	if got, _, _ := after.find(cookie, "register ID1 1", now); bytes.Equal(got, challenge) {
		t.Error("the challenge is good for another purpose")
	}
	if _, _, ok := after.find(cookie, toSignIn, now.Add(ChallengeLife)); ok {
		t.Error("it is good for longer under another key")
	}
	if fresh, _ := after.make(toSignIn, now); fresh == cookie {
		t.Error("two cookies are alike")
	}
	// Whatever is changed in a cookie, its challenge is another one.
	raw, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := bytes.Clone(raw)
		changed[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= rapid.ByteRange(1, 255).Draw(t, "bits")
		got, _, ok := after.find(base64.RawURLEncoding.EncodeToString(changed), toSignIn, now)
		if ok && bytes.Equal(got, challenge) {
			t.Fatal("a changed cookie has the same challenge")
		}
	})
}
