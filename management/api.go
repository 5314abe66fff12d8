package management

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/caller"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
)

// Scopes of endpoints: by these names an operator says whose signatures may and must be there. rolesScope
// has no endpoint of its own: it is needed beside usersWriteScope for every role above member.
const (
	usersReadScope            = "read_users"
	usersWriteScope           = "write_users"
	rolesScope                = "write_roles"
	labelsReadScope           = "read_labels"
	labelsWriteScope          = "write_labels"
	phonesReadScope           = "read_phones"
	phonesWriteScope          = "write_phones"
	documentsWriteScope       = "write_documents"
	serviceAccountsReadScope  = "read_service_accounts"
	serviceAccountsWriteScope = "write_service_accounts"
	keysWriteScope            = "write_apikeys"
	otpScope                  = "otp_sign"
	toolsScope                = "tools"
)

// Scopes are the names of all scopes.
func Scopes() []string {
	return []string{
		usersReadScope, usersWriteScope, rolesScope, labelsReadScope, labelsWriteScope, phonesReadScope, phonesWriteScope,
		documentsWriteScope, serviceAccountsReadScope, serviceAccountsWriteScope, keysWriteScope, otpScope, toolsScope,
	}
}

// Refusals of signed bodies.
var (
	// ErrNoEnvelope says that a body is no JSON.
	ErrNoEnvelope = errors.New("management: not a signed body")
	// ErrUnverified says that the scope is not configured, that a signature of one of its signers is
	// wrong, or that the claims do not hold.
	ErrUnverified = errors.New("management: the signed body is not verified")
	// ErrTooFew says that a signer is missing whom the scope wants.
	ErrTooFew = errors.New("management: too few signatures")
)

// Envelopes opens signed bodies. It is safe for concurrent use.
type Envelopes interface {
	// Open verifies a body for a scope. Errors: ErrNoEnvelope, ErrUnverified, ErrTooFew; any other is
	// an outage.
	Open(ctx context.Context, scope string, body []byte) (Opened, error)
}

// Opened is a signed body that was verified.
type Opened interface {
	// Data is the claim data as it was sent, nil for none.
	Data() json.RawMessage
	// Signers are the names of those whose signatures count, sorted.
	Signers() []string
	// Also returns why the body would not do for another scope, nil when it does: ErrUnverified, ErrTooFew.
	Also(scope string) error
}

// API is the management namespace.
type API struct {
	caller.Resolver
	Envelopes Envelopes
	Accounts  *account.Service
	Persons   *person.Service
	APIKeys   *apikey.Service
	Codes     *factor.Service
	Signer    Countersigner
	Keys      Keys
	// Documents are the rules by which Persons takes them.
	Documents person.DocumentRules

	turns chan struct{} // of requests with a file
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	words := rest.Wording{Params: sentence, Rules: listed}
	g := rest.NewGroup(s, "management", a.guard()).Worded(words)
	a.clock(g.At("/timestamp", "timestamp"))
	a.labels(g.At("/labels", "label"))
	a.users(g.At("/users", "user"))
	a.profiles(g.At("/profiles", "profile"))
	a.phones(g.At("/phones", "phone"))
	a.serviceAccounts(g.At("/service_accounts", "service_account"))
	a.keys(g.At("/api_keys", "apikey"))
	a.otp(g.At("/otp", "otp"))
	a.documents(rest.NewGroup(s, "management", a.oneOfFew(a.guard())).Worded(words).At("/documents", "document"))
}

// peer is the caller of an endpoint: one or more services that have signed the request.
type peer struct {
	account.Actor
	Opened
	body []byte
}

var (
	errQuery = errors.New("management: a query")
	errMedia = errors.New("management: not JSON")
)

// guard reads the body. It admits nobody: only the groups of scoped do.
func (a *API) guard() rest.Guard[peer] {
	return rest.Guard[peer]{
		Admit: func(r *http.Request) (peer, error) {
			if r.URL.RawQuery != "" {
				return peer{}, errQuery
			}
			media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
			if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || media != "application/json" || len(r.Header.Values("Content-Type")) != 1 {
				return peer{}, errMedia
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return peer{}, err
			}
			return peer{Actor: account.Actor{Client: a.Client(r)}, body: body}, nil
		},
		Principal: func(who peer) string { return who.Service },
		Changes:   limit.Peer,
		Source: rest.Source[peer]{
			JSON: func(who peer) []byte { return who.Data() },
			Doc: "The claim data of the payload of a JWS in general JSON serialization (RFC 7515, section 7.2.1), " +
				"signed by the services that the scope of the endpoint wants.",
		},
		Refusals: rest.All(
			rest.OnText(errQuery, 400, "Query parameters are not allowed."),
			rest.OnText(errMedia, 400, "Only JSON body is accepted."),
			rest.OnText(ErrNoEnvelope, 400, "Couldn't parse JWT."),
			rest.OnText(ErrUnverified, 401, "Failed to verify JWT."),
			rest.OnText(ErrTooFew, 401, "Not enough signatures for the action."),
		),
	}
}

// maxActor bounds the names of signers in activities, in bytes.
const maxActor = 255

// scoped admits services whose signatures do for a scope.
func (a *API) scoped(g rest.Group[peer], scope string) rest.Group[peer] {
	return g.Narrow(func(r *http.Request, who peer) (peer, error) {
		opened, err := a.Envelopes.Open(r.Context(), scope, who.body)
		if err != nil {
			return peer{}, err
		}
		who.Opened, who.body = opened, nil
		names := strings.Join(opened.Signers(), ",")
		who.Service = cmp.Or(names[:min(len(names), maxActor)], "nobody")
		return who, nil
	})
}

// notFound answers a lookup of a row that must be there.
func notFound(errs ...error) rest.Failure {
	var all []rest.Failure
	for _, err := range errs {
		all = append(all, rest.OnText(err, 404, "Record is not found"))
	}
	return rest.All(all...)
}
