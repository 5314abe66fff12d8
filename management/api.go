package management

import (
	"context"
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
	"barong/internal/peer"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/roster"
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

// MayGiveRoles reports whether the services that have signed a request, by the name of its actor, may give
// roles above member now.
func MayGiveRoles(peers *peer.Verifier, actor string) bool {
	return peers.Trusts(strings.Split(actor, ","), usersWriteScope, rolesScope)
}

// API is the management namespace.
type API struct {
	caller.Resolver
	// Peers verifies the bodies of requests.
	Peers    *peer.Verifier
	Accounts *account.Service
	Persons  *person.Service
	Roster   Users
	APIKeys  *apikey.Service
	Codes    *factor.Service
	Signer   Countersigner
	Keys     Keys
	// Documents are the rules by which Persons takes them.
	Documents person.DocumentRules

	turns chan struct{} // of requests with a file
}

// Users reads accounts, one or a list; store.DB does.
type Users interface {
	roster.Reader
	// User and UserByEmail are those of account.Reader.
	User(ctx context.Context, uid string) (account.User, error)
	UserByEmail(ctx context.Context, email string) (account.User, error)
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	words := rest.Wording{Params: sentence, Rules: listed}
	const onlyPost = "Only POST and PUT verbs are allowed."
	g := rest.NewGroup(s, "management", a.guard()).Worded(words).RefusingOptions(onlyPost)
	a.clock(g.At("/timestamp", "timestamp"))
	a.labels(g.At("/labels", "label"))
	a.users(g.At("/users", "user"))
	a.profiles(g.At("/profiles", "profile"))
	a.phones(g.At("/phones", "phone"))
	a.serviceAccounts(g.At("/service_accounts", "service_account"))
	a.keys(g.At("/api_keys", "apikey"))
	a.otp(g.At("/otp", "otp"))
	a.documents(rest.NewGroup(s, "management", a.oneOfFew(a.guard())).Worded(words).RefusingOptions(onlyPost).At("/documents", "document"))
}

// services are the caller of an endpoint: one or more services that have signed the request.
type services struct {
	account.Actor
	peer.Message
	body []byte
}

var (
	errQuery = errors.New("management: a query")
	errMedia = errors.New("management: not JSON")
)

// guard reads the body. It admits nobody: only the groups of scoped do.
func (a *API) guard() rest.Guard[services] {
	return rest.Guard[services]{
		Admit: func(r *http.Request) (services, error) {
			if r.URL.RawQuery != "" {
				return services{}, errQuery
			}
			media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
			if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || media != "application/json" || len(r.Header.Values("Content-Type")) != 1 {
				return services{}, errMedia
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return services{}, err
			}
			return services{Actor: account.Actor{Client: a.Client(r)}, body: body}, nil
		},
		Principal: func(who services) string { return who.Service },
		Changes:   limit.Peer,
		Source: rest.Source[services]{
			JSON: func(who services) []byte { return who.Data },
			Doc: "The claim data of the payload of a JWS in general JSON serialization (RFC 7515, section 7.2.1), " +
				"signed by the services that the scope of the endpoint wants.",
		},
		Refusals: rest.All(
			rest.OnText(errQuery, 400, "Query parameters are not allowed."),
			rest.OnText(errMedia, 400, "Only JSON body is accepted."),
			rest.OnText(peer.ErrUnreadable, 400, "Couldn't parse JWT."),
			rest.OnText(peer.ErrUnverified, 401, "Failed to verify JWT."),
			rest.OnText(peer.ErrSignatures, 401, "Not enough signatures for the action."),
		),
	}
}

// maxActor bounds the names of signers in activities, in bytes.
const maxActor = 255

// scoped admits services whose signatures do for a scope.
func (a *API) scoped(g rest.Group[services], scope string) rest.Group[services] {
	return g.Narrow(func(r *http.Request, who services) (services, error) {
		message, err := a.Peers.Verify(r.Context(), peer.Request{
			Scope: scope, Method: r.Method, Path: strings.TrimPrefix(rest.Path(r), "/management"), Body: who.body,
		})
		if err != nil {
			return services{}, err
		}
		who.Message, who.body = message, nil
		names := strings.Join(message.Signers, ",")
		who.Service = names[:min(len(names), maxActor)]
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
