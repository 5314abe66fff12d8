package resttest

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// everything is the record of all clients of this test binary.
var everything Coverage

// Main runs the tests of an edge package, whose folder lies beside docs, and then fails on each
// promise of the file of endpoints that no test has held the endpoints to; see Tables. A run of
// some tests, by -run or the like, is not judged.
//
//	func TestMain(m *testing.M) { resttest.Main(m, "testdata/endpoints.tsv") }
func Main(m *testing.M, promised string) {
	flag.Parse()
	code := m.Run()
	part := false // of the suite was run
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		part = part || flag.Lookup(name).Value.String() != ""
	}
	if code == 0 && !part {
		for _, problem := range everything.Missing(Tables{
			Promised: promised, Differences: "../docs/undocumented-differences.tsv", ToCome: "../docs/endpoints-to-come.tsv",
		}) {
			fmt.Fprintln(os.Stdout, "coverage:", problem)
			code = 1
		}
	}
	os.Exit(code)
}
