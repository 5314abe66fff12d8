package signin_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"barong/internal/hostile"
	"barong/internal/signin"
)

func newDevices(t testing.TB, fill byte) *signin.Devices {
	t.Helper()
	d, err := signin.NewDevices(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDevices(t *testing.T) {
	d := newDevices(t, 7)
	cookie := d.Remember("", "ID1", start)
	id, ok := d.Known(cookie, "ID1", start)
	if !ok || len(id) != 32 {
		t.Fatalf("known %v as %q, want 32 digits", ok, id)
	}
	if strings.Contains(cookie, "ID1") || strings.ContainsAny(cookie, "=;, \"") || len(cookie) > 60 {
		t.Errorf("cookie %q names the account or is no short cookie value", cookie)
	}
	for name, c := range map[string]struct {
		devices *signin.Devices
		cookie  string
		uid     string
		now     time.Time
	}{
		"of another account":   {d, cookie, "ID2", start},
		"with another key":     {newDevices(t, 8), cookie, "ID1", start},
		"after its time":       {d, cookie, "ID1", start.Add(signin.DeviceLife)},
		"cut off":              {d, cookie[:len(cookie)-4], "ID1", start},
		"longer":               {d, cookie + "AAAA", "ID1", start},
		"padded":               {d, cookie + "==", "ID1", start},
		"none":                 {d, "", "ID1", start},
		"by those who are nil": {nil, cookie, "ID1", start},
	} {
		if _, ok := c.devices.Known(c.cookie, c.uid, c.now); ok {
			t.Errorf("%s: known, want not", name)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		spoilt := bytes.Clone(raw)
		spoilt[bit/8] ^= 1 << (bit % 8)
		if _, ok := d.Known(base64.RawURLEncoding.EncodeToString(spoilt), "ID1", start); ok {
			t.Errorf("bit %d changed: known, want not", bit)
		}
	}

	t.Run("a later sign-in renews it and keeps its id", func(t *testing.T) {
		later := start.Add(signin.DeviceLife - time.Second)
		renewed := d.Remember(cookie, "ID1", later)
		if got, ok := d.Known(renewed, "ID1", later.Add(signin.DeviceLife-time.Second)); !ok || got != id {
			t.Errorf("known %v as %q, want %q", ok, got, id)
		}
		if len(renewed) != len(cookie) {
			t.Errorf("%q has more than the one account", renewed)
		}
	})
	t.Run("after its time it is another device", func(t *testing.T) {
		late := start.Add(signin.DeviceLife)
		if got, ok := d.Known(d.Remember(cookie, "ID1", late), "ID1", late); !ok || got == id {
			t.Errorf("known %v as %q, want another", ok, got)
		}
	})
	t.Run("the newest five accounts are known", func(t *testing.T) {
		jar := ""
		for n := range 7 {
			jar = d.Remember(jar, fmt.Sprint("ID", n), start)
		}
		jar = d.Remember(jar, "ID2", start) // the oldest of them becomes the newest
		jar = d.Remember(jar, "ID7", start)
		seen := map[string]bool{}
		for n, want := range []bool{false, false, true, false, true, true, true, true} {
			id, ok := d.Known(jar, fmt.Sprint("ID", n), start)
			if ok != want || seen[id] && ok {
				t.Errorf("account %d: known %v as %q, want %v and an id of its own", n, ok, id, want)
			}
			seen[id] = true
		}
	})
	t.Run("what makes no sense is begun anew", func(t *testing.T) {
		for _, jar := range []string{"x", cookie + "!", strings.Repeat("A", 10_000)} {
			if got := d.Remember(jar, "ID1", start); len(got) != len(cookie) {
				t.Errorf("from %.20q: %q", jar, got)
			}
		}
	})
	t.Run("the key is not printed", func(t *testing.T) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, d); text != "signin.Devices" {
				t.Errorf("%s prints %q", verb, text)
			}
		}
	})
	if _, err := signin.NewDevices([]byte("short")); err == nil {
		t.Error("a short master key was taken")
	}
}

func FuzzDevices(f *testing.F) {
	d := newDevices(f, 7)
	two := d.Remember(d.Remember("", "ID1", start), "ID2", start)
	for _, seed := range []string{"", "AQ", two, two[:40], strings.Repeat("A", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cookie string) {
		if _, ok := d.Known(cookie, "ID3", start); ok {
			t.Fatal("a cookie that nobody made is known")
		}
		next := d.Remember(cookie, "ID3", start)
		if _, ok := d.Known(next, "ID3", start); !ok || len(next) > 242 {
			t.Fatalf("known %v in %q", ok, next)
		}
		for _, uid := range []string{"ID1", "ID2"} { // others are kept, while there is room
			_, before := d.Known(cookie, uid, start)
			if _, after := d.Known(next, uid, start); after && !before {
				t.Fatalf("%s is known only after", uid)
			}
		}
	})
}

func TestDeviceTimeIsLinear(t *testing.T) {
	d := newDevices(t, 7)
	good := d.Remember("", "ID1", start)
	hostile.Linear(t, hostile.Grammar{Words: []string{good, "AQ"}, Marks: []string{"=", "\n", "A", "-", "\xff"}}, func(text string) {
		d.Known(text, "ID1", start)
		d.Remember(text, "ID1", start)
	})
}
