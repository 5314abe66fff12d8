package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"barong/internal/account"
	"barong/policy"
)

// inWorld are the countries of the GeoIP file that the replicas get, one network for each.
const inWorld = "AD AE AF AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BY BZ CA CF CH CI CL CM CN CO CR CU CV CY " +
	"CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FR GA GB GD GE GH GM GN GR GT GY HN HR HT HU ID IE IL IN IQ IR IS IT JM JO JP"

// WriteWorld writes a GeoIP file: 45.N.0.0/16 is in the N-th country, of which 0 is AD and 1 is AE.
func WriteWorld(t testing.TB) (path string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", Languages: []string{"en"}, RecordSize: 24})
	must(t, err)
	for i, code := range strings.Fields(inWorld) {
		_, network, err := net.ParseCIDR(fmt.Sprintf("45.%d.0.0/16", i))
		must(t, err)
		must(t, tree.Insert(network, mmdbtype.Map{
			"country": mmdbtype.Map{"iso_code": mmdbtype.String(code), "names": mmdbtype.Map{"en": mmdbtype.String(code)}},
		}))
	}
	path = filepath.Join(t.TempDir(), "country.mmdb")
	f, err := os.Create(path)
	must(t, err)
	_, err = tree.WriteTo(f)
	must(t, err)
	must(t, f.Close())
	return path
}

// Country is a grant that SetCountry takes away: nobody else is in its country.
func (c *Cluster) Country(t testing.TB) *Grant {
	t.Helper()
	codes := strings.Fields(inWorld)
	if c.countries == len(codes) {
		t.Fatal("the world has no more countries")
	}
	u, g, err := c.person(account.RoleMember)
	must(t, err)
	g.Name, g.Refusal, g.country = "country", "authz.restrict.blacklist", codes[c.countries]
	g.ip = netip.AddrFrom4([4]byte{45, byte(c.countries), byte(c.people), 7})
	c.countries++
	must(t, c.openSession(g, u))
	return g
}

// SetCountry closes the grant's country over REST on a replica, or opens it again.
func (c *Cluster) SetCountry(ctx context.Context, on *Replica, g *Grant, open bool) error {
	return c.setRestriction(ctx, on, g, policy.ScopeCountry, g.country, open)
}

// setRestriction puts a place on the black list over REST on a replica, or off it.
func (c *Cluster) setRestriction(ctx context.Context, on *Replica, g *Grant, scope, value string, open bool) error {
	if !open {
		return g.change(false, func() error {
			return c.admin(ctx, on, http.MethodPost, "/api/v2/admin/restrictions", map[string]any{
				"category": policy.Blacklist, "scope": scope, "value": value, "state": "enabled",
			})
		})
	}
	rows, err := c.DB.Restrictions(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Value == value {
			return g.change(true, func() error {
				return c.admin(ctx, on, http.MethodDelete, "/api/v2/admin/restrictions", map[string]any{"id": row.ID})
			})
		}
	}
	return fmt.Errorf("no restriction on %s", value)
}
