package rest

import (
	"context"
	"net/http"
	"slices"

	"barong/internal/limit"
)

// A Scheme is how a guard's callers prove their identity, for the document.
type Scheme struct {
	// Name is the key in the document; Type is "http" or "apiKey".
	Name, Type string
	// Scheme is for http ("bearer"); In ("header", "cookie") and Key are for apiKey.
	Scheme, In, Key string
	Description     string
}

// A Guard admits callers, and makes W of the request: all that a handler knows of its caller.
// It runs before any parameter is looked at.
type Guard[W any] struct {
	Admit func(*http.Request) (W, error)
	// Principal is the account that calls, whose requests are counted; nil when nobody proves
	// to be one. It is "" when Admit refused before it knew.
	Principal func(W) (uid string)
	// Changes is the cost of a change where an Op names none; 0 means limit.Write.
	Changes limit.Cost
	// Done, when set, gets the outcome of each call of a principal, before the answer: the input,
	// as far as it could be read, and the error, also one of the input's. It gets Admit's, too,
	// with a nil input; not that of a call that is one too many.
	Done func(ctx context.Context, who W, in any, err error)
	// Source, when it is set, brings the parameters in place of query and body.
	Source Source[W]
	// Refusals are the failures of Admit.
	Refusals Failure
	// Schemes are alternatives; none means that nothing has to be proved.
	Schemes []Scheme
}

// A Source is where a guard's callers send their parameters when not in query and body, as in the
// claims of a signed body that Admit has verified. Parameters of the path and of headers stay where
// they are.
type Source[W any] struct {
	// JSON returns the object of the parameters; anything but an object has none.
	JSON func(W) []byte
	// Doc describes the place for the document.
	Doc string
}

// A Group is a namespace, or a part of one: endpoints that share a path, a name in tokens, a guard
// and failures. Only NewGroup makes one, so that no endpoint is without a guard. Its methods return
// changed copies.
type Group[W any] struct {
	server    *Server
	namespace string
	path      string // "/resource/api_keys"
	resource  string // "apikey"
	guard     Guard[W]
	failures  Failure
	wording   Wording
	options   *options // nil without any answer to OPTIONS
}

// options is the answer of a group to OPTIONS. It always names the methods of the path in Allow.
type options struct {
	admit    func(*http.Request) error // nil admits everybody
	refusals Failure                   // of admit
	refusal  string                    // the sentence of a 405; "" is 204
}

// WithOptions returns g with OPTIONS on each path that has an endpoint: the guard as it is now, then 204
// and the methods of the path in Allow.
func (g Group[W]) WithOptions() Group[W] {
	admit := g.guard.Admit
	g.options = &options{refusals: g.guard.Refusals, admit: func(r *http.Request) error {
		_, err := admit(r)
		return err
	}}
	return g
}

// RefusingOptions returns g that answers OPTIONS on each path that has an endpoint by 405, a sentence and
// the methods of the path in Allow, to everybody.
func (g Group[W]) RefusingOptions(sentence string) Group[W] {
	g.options = &options{refusal: sentence}
	return g
}

// NewGroup starts a namespace of s behind a guard: its endpoints live under every prefix + "/" +
// namespace. It panics without an Admit.
func NewGroup[W any](s *Server, namespace string, guard Guard[W]) Group[W] {
	if guard.Admit == nil {
		panic("rest: the guard of " + namespace + " admits nobody")
	}
	return Group[W]{server: s, namespace: namespace, path: "/" + namespace, guard: guard}
}

// At returns the part of g below path, whose tokens start with "<namespace>.<resource>".
func (g Group[W]) At(path, resource string) Group[W] {
	g.path, g.resource = g.path+path, resource
	return g
}

// Failing returns g with more failures of all its endpoints. An endpoint's own come before them.
func (g Group[W]) Failing(failures ...Failure) Group[W] {
	g.failures = All(append(slices.Clone(failures), g.failures)...)
	return g
}

// Worded returns g with other bodies of refusals; what w leaves nil stays.
func (g Group[W]) Worded(w Wording) Group[W] {
	if w.Params != nil {
		g.wording.Params = w.Params
	}
	if w.Rules != nil {
		g.wording.Rules = w.Rules
	}
	return g
}

// Narrow returns g for fewer callers: those that check admits too, after the guard. The handler gets
// the caller that check returns, and so does Guard.Done, also with an error.
func (g Group[W]) Narrow(check func(*http.Request, W) (W, error), refusals ...Failure) Group[W] {
	admit := g.guard.Admit
	g.guard.Admit = func(r *http.Request) (W, error) {
		who, err := admit(r)
		if err != nil {
			return who, err
		}
		return check(r, who)
	}
	g.guard.Refusals = All(g.guard.Refusals, All(refusals...))
	return g
}

// prefix begins the tokens of g.
func (g Group[W]) prefix() string {
	if g.resource == "" {
		return g.namespace
	}
	return g.namespace + "." + g.resource
}
