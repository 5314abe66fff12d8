// Package rest owns the HTTP side of the REST API: typed endpoints over gin, parameters,
// paging, error bodies, CORS and the OpenAPI document. gin appears nowhere else.
//
// Of our other packages it knows param, which reads parameters, and limit, in whose words an
// endpoint names its cost. A group of endpoints brings its guard and the failures that all of them
// can answer; an endpoint brings its types, its own failures and, where the method does not imply
// them, its status and its cost; Add does the rest.
//
//	request ──► Server   id, recovery, one path spelling, CORS, one access line
//	        ──► Budget   counts the cost for the caller's network
//	        ──► Guard    finds the caller; refused before any parameter is looked at
//	        ──► Budget   counts the cost for the account
//	        ──► binding  query < body < path into the input struct, all bad fields at once;
//	                     or the guard's Source, such as the claims of a signed body
//	        ──► handler  func(ctx, caller, in) (out, error)
//	        ──► answer   JSON of out, or a file, or the declared status and tokens of the error,
//	                     in the group's Wording
//
//	Server.Document ──► OpenAPI 3.0.3 of the same declarations
//
// Every field of an input struct is a parameter, in the order in which problems are
// reported, and describes by its tags the values it takes:
//
//	name:"algorithm"      the parameter; fields of an embedded struct are parameters too
//	rule:"required"       it must be present ("required,nonblank": and not blank;
//	                      "nonblank": not blank when present; "value" before it: a broken
//	                      rule on values is reported first)
//	enum:"asc,desc"       allowed values; a type that is Valued names its own
//	min:"1" max:"100"     allowed range of an integer
//	default:"asc"         its value when absent, or empty for an integer
//	in:"body"             not looked for in the query string; "query" says that it may be
//	                      there. A name that looks like a secret must say one of the two
//	                      (design D19). "header": taken from the header of that name alone
//	missing:"…" empty:"…" invalid:"…" value:"…"
//	                      tokens in place of ".missing_<name>", ".empty_<name>", "invalid" and
//	                      "value"; one that begins with a dot continues the group's name,
//	                      "<namespace>.<resource>"
//	oneof:"…"             exactly one of the parameters with this token is sent, even if blank
//	anyof:"…"             at least one of them is
//	doc:"…"               a sentence for the document
//
// Its type is string, int, int64, bool, Date, Lenient, TextOrObject, Object, []string, []File or a
// pointer to one, which is nil for absent and null. A "{name}" segment of
// the path fills the field of that name. Parameters are taken from the path, else the body
// (JSON object, urlencoded or multipart, with any verb), else the query. Unknown ones are
// ignored, and nothing that is not declared reaches a handler.
//
// Required parameters that are absent or blank are 400, everything else that is wrong is
// 422, and so are both at once (design D2); always with every token.
package rest
