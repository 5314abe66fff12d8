package policy

// AddSignIn adds a path to those at which a session is opened, until the function it returns is
// called. Tests that use it must not run in parallel with others.
func AddSignIn(path string) (undo func()) {
	before := signInPaths
	signInPaths = append(before[:len(before):len(before)], path)
	return func() { signInPaths = before }
}

// CountryCode and ContinentCode read the names and codes of places.
var (
	CountryCode   = countryCode
	ContinentCode = continentCode
)
