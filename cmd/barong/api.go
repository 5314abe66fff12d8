package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"barong/admin"
	"barong/identity"
	"barong/internal/audit"
	callers "barong/internal/caller"
	"barong/internal/captcha"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/exchange"
	"barong/internal/limit"
	"barong/internal/peer"
	"barong/internal/person"
	"barong/internal/provider/auth0"
	"barong/internal/rest"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/token"
	"barong/internal/view"
	"barong/management"
	"barong/policy/ability"
	"barong/policy/editor"
	"barong/resource"
)

// apiParts holds the parts of the REST APIs.
type apiParts struct {
	settings  config.Settings
	log       *slog.Logger
	services  accountServices
	sessions  *session.Manager
	store     *store.DB
	verifier  *token.Minter
	keys      *token.Keys
	rules     *editor.Service
	abilities ability.Set
	explain   admin.Explainer
	people    people
	kyc       identity.KYC
	budget    *limit.Budget // nil bounds nothing
	clientIP  func(*http.Request) netip.Addr
	country   func(netip.Addr) string
	record    func(audit.Activity) bool
	track     func(context.Context) (context.Context, func())
	lost      func(*http.Request)
	admit     func(context.Context, netip.Addr) (session.Moment, error)
	peers     *peer.Verifier // nil verifies nothing: only documents are made
}

// newAPI mounts every endpoint. The OpenAPI document comes from the endpoints mounted here.
func newAPI(p apiParts) (*rest.Server, error) {
	s := p.settings
	c := configured.REST(s)
	c.Log, c.ClientIP, c.Budget, c.Track, c.Lost = p.log, p.clientIP, p.budget, p.track, p.lost
	c.Outages = []error{errBehind, secret.ErrBusy, captcha.ErrOutage, auth0.ErrOutage, person.ErrFiles, person.ErrScanner}
	c.Unavailable = unavailable
	server, err := rest.New(c)
	if err != nil {
		return nil, err
	}
	b := thisBuild()
	built, _ := time.Parse(time.RFC3339, b.Time) // zero when the toolchain recorded none
	resolver := callers.Resolver{
		Users: p.store, Tokens: p.verifier, ClientIP: p.clientIP, Country: p.country, Now: p.store.Time,
	}
	masks := view.Masks(s.Account.Masking)
	visitors := resolver
	visitors.Languages = p.people.languages
	configs, auth0Configs := configured.Published(s)
	cookies := configured.Cookies(s)
	(&identity.API{
		Config: identity.Config{
			Cookies: cookies, Origins: s.REST.CORSOrigins,
			Version: identity.Version{
				GitTag: b.Version, GitSHA: b.Commit, BuildDate: view.LocalTime(built), Version: b.Version,
			},
			Configs: configs, Auth0Configs: auth0Configs,
		},
		Captcha: p.people.captcha, Geetest: p.people.geetest, Auth0: p.people.auth0, KYC: p.kyc,
		Resolver: visitors, SignIns: p.services.signIns, Sessions: p.sessions, Whitelinks: p.rules,
		Persons: p.services.persons, Masks: masks, Log: p.log, Admit: p.admit,
	}).Mount(server)
	(&resource.API{
		Resolver: resolver, Accounts: p.services.accounts, Codes: p.services.codes, SignIns: p.services.signIns,
		Keys: p.services.apiKeys, Persons: p.services.persons, Documents: configured.Documents(s, exchange.Rules{}), Masks: masks, Activities: p.store, Sessions: p.sessions, Cookies: cookies, Log: p.log,
	}).Mount(server)
	(&admin.API{
		Resolver: resolver, Policy: p.rules, Activities: p.store, Abilities: p.abilities, Explain: p.explain,
		Accounts: p.services.accounts, Persons: p.services.persons, People: p.store, Sessions: p.sessions, Record: p.record,
		Codes: p.services.codes, Keys: p.services.apiKeys, Requests: p.services.requests, Require2FA: s.StaffRequires2FA(),
	}).Mount(server)
	resolver.Users, resolver.Tokens = nil, nil // its clients have no bearer token
	(&management.API{
		Resolver: resolver, Peers: p.peers, Accounts: p.services.accounts, Persons: p.services.persons, Roster: p.store,
		APIKeys: p.services.apiKeys, Codes: p.services.codes, Signer: p.keys, Keys: configured.ManagedKeys(s),
		Documents: configured.Documents(s, exchange.Rules{}),
	}).Mount(server)
	maxAge := s.Token.JWKSMaxAge
	if p.keys != nil {
		identity.MountJWKS(server, p.keys, maxAge)
	}
	return server, nil
}

// describedAPI is the API for documents: every endpoint, and nothing behind them but p.
func describedAPI(p people) (*rest.Server, error) {
	return newAPI(apiParts{
		settings: config.Default(), log: slog.New(slog.DiscardHandler), people: p,
		clientIP: func(*http.Request) netip.Addr { return netip.Addr{} },
	})
}

type openAPICmd struct {
	API string `arg:"" enum:"user,admin,management" default:"user" help:"user: what people and bots call; admin: what staff calls; management: what peer services call."`
}

func (c openAPICmd) Run(term *terminal) error {
	server, err := describedAPI(people{})
	if err != nil {
		return err
	}
	namespaces := map[string][]string{"user": {"identity", "public", "resource"}, "admin": {"admin"}, "management": {"management"}}
	doc, err := server.Document("Barong "+c.API+" API", "2", namespaces[c.API]...)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	_, err = term.out.Write(append(text, '\n'))
	return err
}
