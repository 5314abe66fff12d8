package editor_test

import (
	"reflect"
	"slices"
	"testing"

	"barong/policy"
	"barong/policy/editor"
)

// A Service and a seeder can write in a transaction only: beside it their stores share nothing with
// it but reads.
func TestStoresWriteInTransactionsOnly(t *testing.T) {
	reads := []string{"Permissions", "Restrictions", "RoleInUse"}
	for _, store := range []reflect.Type{reflect.TypeFor[editor.Store](), reflect.TypeFor[policy.Store]()} {
		tx := reflect.TypeFor[editor.Tx]()
		for i := range tx.NumMethod() {
			name := tx.Method(i).Name
			if _, has := store.MethodByName(name); has && !slices.Contains(reads, name) {
				t.Errorf("%s.%s writes, or locks, outside a transaction", store, name)
			}
		}
	}
}
