package persontest_test

import (
	"testing"

	"barong/internal/person"
	"barong/internal/person/persontest"
)

// The store of files that other tests stand on keeps the contract of all stores.
func TestFilesInMemory(t *testing.T) {
	persontest.TestFiles(t, func(testing.TB) person.Files { return persontest.NewFiles() })
}
