package password

import (
	_ "embed"
	"strings"
)

// commonPasswords are 10,000 common passwords in lower case, four characters or longer, the
// commonest first, one to a line. They are from the list "passwords" of zxcvbn 4.5.0 (MIT,
// Copyright (c) 2012-2016 Dan Wheeler and Dropbox, Inc.), counted in Mark Burnett's corpus of
// ten million passwords, which he gave to the public domain. See docs/passwords.md.
//
//go:embed common_passwords.txt
var commonPasswords string

// Common makes the Dictionary that is shipped.
func Common() *Dictionary { return NewDictionary(strings.Fields(commonPasswords)) }
