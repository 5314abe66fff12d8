package store_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"barong/internal/expect"
	"barong/internal/store"
)

// Activities are written and read, and go when they are old; nothing changes one.
func TestNothingChangesAnActivity(t *testing.T) {
	var verbs []string
	db := reflect.TypeFor[*store.DB]()
	for i := range db.NumMethod() {
		if name := db.Method(i).Name; regexp.MustCompile("Activity|Activities").MatchString(name) {
			verbs = append(verbs, name)
		}
	}
	expect.Equal(t, verbs, []string{"Activities", "AddActivities", "AddActivity", "DeleteActivities"})
	update := regexp.MustCompile(`(?i)update\s+activities|"(put|set|change)Activity`)
	files := slices.Concat(expect.Must(filepath.Glob("*.go"))(t), expect.Must(filepath.Glob("migrations/*.sql"))(t))
	for _, name := range files {
		if text := expect.Must(os.ReadFile(name))(t); name != "activity_rows_test.go" && update.Match(text) {
			t.Errorf("%s changes activities: %s", name, update.Find(text))
		}
	}
}
