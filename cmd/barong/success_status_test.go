package main

import (
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"barong/internal/config"
)

// The status of success of every endpoint, in both columns of the one table (design D1, D28):
// that of the published documents, and that of the reference.
func TestSuccessStatusOfEveryEndpoint(t *testing.T) {
	text, err := os.ReadFile("testdata/success_status.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(text)), "\n")
	columns := strings.Fields(rows[0])[2:]
	for i, setting := range columns {
		want := map[string]string{}
		for _, row := range rows[1:] {
			cells := strings.Fields(row)
			want[cells[0]+" "+cells[1]] = cells[2+i]
		}
		s := config.Default()
		s.REST.SuccessStatus = setting
		server, err := newAPI(apiParts{
			settings: s, log: slog.New(slog.DiscardHandler),
			clientIP: func(*http.Request) netip.Addr { return netip.Addr{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := server.Document("T", "1")
		if err != nil {
			t.Fatal(err)
		}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				var got []string
				for code := range op.Responses.Map() {
					// 202 is no success: the change waits for a second member of the staff.
					if n, _ := strconv.Atoi(code); n < 300 && n != http.StatusAccepted {
						got = append(got, code)
					}
				}
				key := method + " " + path
				if len(got) != 1 || got[0] != want[key] {
					t.Errorf("%s, %s: %q, the table says %q", setting, key, got, want[key])
				}
				delete(want, key)
			}
		}
		for key := range want {
			t.Errorf("%s: %s is in the table and nowhere else", setting, key)
		}
	}
}
