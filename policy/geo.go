package policy

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Geo locates addresses by a MaxMind country database (GeoLite2-Country or one with the same
// fields). The file is held in memory, so that a new one may be put in its place at any time;
// Reload takes it over. A nil *Geo knows nothing. It is safe for concurrent use; lookups take
// no lock and, but for the first of each place, do not allocate.
type Geo struct {
	path string
	data atomic.Pointer[geoData]
	mu   sync.Mutex // one Reload at a time
}

// geoData is one version of the file. A reader that was given it may go on with it for as
// long as it likes: nothing is unmapped.
type geoData struct {
	db    *maxminddb.Reader
	mtime time.Time
	size  int64
	// places remembers decoded records by their offset: a direct-mapped cache that is larger
	// than the number of records of a country database.
	places [placeSlots]atomic.Pointer[place]
}

const placeSlots = 1 << 13

type place struct {
	offset             uintptr
	country, continent string
	names              map[string]string // of the country, by language
}

// record has the fields that are read (AZ-55).
type record struct {
	Country struct {
		ISOCode string            `maxminddb:"iso_code"`
		Names   map[string]string `maxminddb:"names"`
	} `maxminddb:"country"`
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
}

// OpenGeo reads a database file.
func OpenGeo(path string) (*Geo, error) {
	g := &Geo{path: path}
	if _, err := g.Reload(); err != nil {
		return nil, err
	}
	return g, nil
}

// Reload takes the file over if its time or size has changed, and says whether it did. When
// the new file is missing or broken, the old one stays in use and the error says why; the
// next call tries again. The caller decides how often to look.
func (g *Geo) Reload() (changed bool, err error) {
	if g == nil {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := os.Stat(g.path)
	if err != nil {
		return false, fmt.Errorf("load GeoIP database: %w", err)
	}
	old := g.data.Load()
	if old != nil && old.size == info.Size() && old.mtime.Equal(info.ModTime()) {
		return false, nil
	}
	content, err := os.ReadFile(g.path)
	if err != nil {
		return false, fmt.Errorf("load GeoIP database: %w", err)
	}
	db, err := maxminddb.OpenBytes(content)
	if err != nil {
		return false, fmt.Errorf("load GeoIP database %s: %w", g.path, err)
	}
	// A file that was cut or mixed while it was written may still open: try some of it.
	for _, ip := range []string{"1.1.1.1", "8.8.8.8", "196.245.163.202", "2001:4860:4860::8888"} {
		var r record
		a := netip.MustParseAddr(ip)
		if a.Is6() && db.Metadata.IPVersion == 4 {
			continue
		}
		if err := db.Lookup(a).Decode(&r); err != nil {
			return false, fmt.Errorf("load GeoIP database %s: look up %s: %w", g.path, ip, err)
		}
	}
	g.data.Store(&geoData{db: db, mtime: info.ModTime(), size: info.Size()})
	return true, nil
}

// Built is when the database in use was made; zero when there is none.
func (g *Geo) Built() time.Time {
	if g == nil {
		return time.Time{}
	}
	return g.data.Load().db.Metadata.BuildTime()
}

// Lookup implements Locator.
func (g *Geo) Lookup(ip netip.Addr) (country, continent string, ok bool) {
	p := g.place(ip)
	if p == nil {
		return "", "", false
	}
	return p.country, p.continent, true
}

// Name implements Locator: the name that the database has for the country, "" when it has none
// in that language (AZ-56).
func (g *Geo) Name(ip netip.Addr, lang string) string {
	p := g.place(ip)
	if p == nil {
		return ""
	}
	return p.names[lang]
}

// place finds the record of an address, nil when there is none.
func (g *Geo) place(ip netip.Addr) *place {
	if g == nil || !ip.IsValid() {
		return nil
	}
	d := g.data.Load()
	ip = foldIP(ip)
	if ip.Is6() && d.db.Metadata.IPVersion == 4 {
		return nil
	}
	found := d.db.Lookup(ip)
	if !found.Found() {
		return nil
	}
	offset := found.Offset()
	at := &d.places[uint64(offset)*0x9e3779b97f4a7c15>>(64-13)]
	if p := at.Load(); p != nil && p.offset == offset {
		return p
	}
	var r record
	if err := found.Decode(&r); err != nil {
		return nil
	}
	p := &place{
		offset:    offset,
		country:   strings.ToUpper(r.Country.ISOCode),
		continent: strings.ToUpper(r.Continent.Code),
		names:     r.Country.Names,
	}
	at.Store(p)
	return p
}
