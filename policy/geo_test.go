package policy_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"barong/policy"
)

func TestGeoLookup(t *testing.T) {
	g := openGeo(t)
	for name, test := range map[string]struct {
		ip, country, continent, name string
	}{
		"an IPv4 address":                  {london, "GB", "EU", "United Kingdom"},
		"another one":                      {tokyo, "JP", "AS", "Japan"},
		"an IPv6 address":                  {kyiv, "UA", "EU", "Ukraine"},
		"FX-57: a v4-mapped address":       {"::ffff:" + tokyo, "JP", "AS", "Japan"},
		"AZ-56: an address that is not in": {ip: "9.9.9.9"},
	} {
		t.Run(name, func(t *testing.T) {
			ip := netip.MustParseAddr(test.ip)
			for range 2 { // decoded, then remembered
				country, continent, ok := g.Lookup(ip)
				if country != test.country || continent != test.continent || ok != (test.country != "") {
					t.Errorf("Lookup: got %q, %q, %v, want %q, %q", country, continent, ok, test.country, test.continent)
				}
				if got := g.Name(ip, "en"); got != test.name {
					t.Errorf("Name: got %q, want %q", got, test.name)
				}
			}
		})
	}
	if got := g.Name(netip.MustParseAddr(tokyo), "de"); got != "de Japan" {
		t.Errorf("AZ-55, in German: got %q", got)
	}
	if got := g.Name(netip.MustParseAddr(tokyo), "fr"); got != "" {
		t.Errorf("AZ-56, in a language that is not in: got %q, want nothing", got)
	}
	if _, _, ok := g.Lookup(netip.Addr{}); ok {
		t.Error("an invalid address was found")
	}
	var none *policy.Geo
	if _, _, ok := none.Lookup(netip.MustParseAddr(tokyo)); ok || none.Name(netip.MustParseAddr(tokyo), "en") != "" {
		t.Error("a nil Geo knows something")
	}
}

func TestGeoReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	if _, err := policy.OpenGeo(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open without a file: got error %v", err)
	}
	database(t, path, atlas())
	g, err := policy.OpenGeo(path)
	if err != nil {
		t.Fatal(err)
	}
	if g.Built().IsZero() {
		t.Error("Built: got zero")
	}
	gb := netip.MustParseAddr(london)
	// Every step leaves the file with another time.
	step := 0
	reload := func(what string, wantChanged, wantErr bool, wantCountry string) {
		t.Helper()
		step++
		at := time.Date(2026, 1, 1, 0, step, 0, 0, time.UTC)
		if err := os.Chtimes(path, at, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		changed, err := g.Reload()
		if changed != wantChanged || (err != nil) != wantErr {
			t.Errorf("%s: got changed %v, error %v", what, changed, err)
		}
		if got, _, _ := g.Lookup(gb); got != wantCountry {
			t.Errorf("%s: got country %q, want %q", what, got, wantCountry)
		}
	}
	moved := atlas()
	moved["196.245.163.0/24"] = [3]string{"FR", "EU", "France"}
	database(t, path, moved)
	reload("a new file", true, false, "FR")
	if changed, err := g.Reload(); changed || err != nil {
		t.Errorf("the same file: got changed %v, error %v", changed, err)
	}
	if err := os.WriteFile(path, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload("a broken file", false, true, "FR")
	database(t, path, atlas())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	reload("half a file", false, true, "FR")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload("a missing file", false, true, "FR")
	database(t, path, atlas())
	reload("a good file again", true, false, "GB")
}

func TestGeoReloadsUnderReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	database(t, path, atlas())
	g, err := policy.OpenGeo(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ip := netip.MustParseAddr(london); ; {
				select {
				case <-stop:
					return
				default:
				}
				if c, _, _ := g.Lookup(ip); c != "GB" && c != "FR" {
					t.Errorf("got country %q", c)
					return
				}
			}
		})
	}
	other := atlas()
	other["196.245.163.0/24"] = [3]string{"FR", "EU", "France"}
	for i := range 10 {
		database(t, path, []map[string][3]string{other, atlas()}[i%2])
		at := time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if changed, err := g.Reload(); !changed || err != nil {
			t.Errorf("got changed %v, error %v", changed, err)
		}
	}
	close(stop)
	wg.Wait()
}
