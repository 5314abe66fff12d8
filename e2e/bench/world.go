package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/policy"
)

// A place is where a world is kept.
type place struct {
	database string // URL
	redis    string // URL, "" for sessions in the database
}

// A world is a database and ready-made questions about its rows.
type world struct {
	place
	key []byte // seals it

	warm, cold, keyed, bound, passing, denied, restricted, forged, unknown [][]byte
}

const (
	agent       = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0"
	clientIP    = "203.0.113.7"
	allowedPath = "/api/v2/peatio/market/orders?market=btcusd&state=wait&limit=100"
	deniedPath  = "/api/v2/barong/admin/users?limit=100"
	publicPath  = "/api/v2/peatio/public/markets/btcusd/depth?limit=300"
	principals  = 1000
)

// populate makes a database with the number of permissions and of restrictions, a thousand
// users with a session and an API key each, and as many cold sessions as asked for.
func populate(ctx context.Context, at place, rules, cold int) (world, error) {
	w, db, err := newWorld(ctx, at)
	if err != nil {
		return w, err
	}
	defer db.Close()
	if err := addRules(ctx, db, rules); err != nil {
		return w, err
	}
	users, err := addUsers(ctx, db, principals)
	if err != nil {
		return w, err
	}
	cookies, err := addSessions(ctx, db, at.redis, users, principals+cold)
	if err != nil {
		return w, err
	}
	keys, err := addKeys(ctx, db, users, principals, false)
	if err != nil {
		return w, err
	}
	bound, err := addKeys(ctx, db, users, principals, true)
	if err != nil {
		return w, err
	}
	keys = append(keys, bound...)
	for i, c := range cookies {
		if i < principals {
			w.warm = append(w.warm, question("GET", allowedPath, clientIP, map[string]string{"cookie": cookie(c)}))
			w.denied = append(w.denied, question("GET", deniedPath, clientIP, map[string]string{"cookie": cookie(c)}))
		} else {
			w.cold = append(w.cold, question("GET", allowedPath, clientIP, map[string]string{"cookie": cookie(c)}))
		}
	}
	for _, k := range keys {
		to := &w.keyed
		if len(k.Networks) > 0 {
			to = &w.bound
		}
		*to = append(*to, question("GET", allowedPath, clientIP, signed(k.Kid, k.Secret)))
		w.forged = append(w.forged, question("GET", allowedPath, clientIP, signed(k.Kid, "another secret")))
		w.unknown = append(w.unknown, question("GET", allowedPath, clientIP, signed("x"+k.Kid[1:], k.Secret)))
	}
	w.passing = [][]byte{question("GET", publicPath, clientIP, nil)}
	w.restricted = [][]byte{question("GET", allowedPath, "198.51.100.9", map[string]string{"cookie": cookie(cookies[0])})}
	return w, nil
}

// populateResident makes the database of the memory row: one session for each of many
// users would measure accounts, so that a hundred thousand users share a million sessions.
func populateResident(ctx context.Context, at place, sessions, keys int) (world, error) {
	w, db, err := newWorld(ctx, at)
	if err != nil {
		return w, err
	}
	defer db.Close()
	if err := addRules(ctx, db, 100); err != nil {
		return w, err
	}
	users, err := addUsers(ctx, db, keys)
	if err != nil {
		return w, err
	}
	cookies, err := addSessions(ctx, db, at.redis, users, sessions)
	if err != nil {
		return w, err
	}
	made, err := addKeys(ctx, db, users, keys, false)
	if err != nil {
		return w, err
	}
	for i, c := range cookies {
		w.cold = append(w.cold, question("GET", deniedPath, clientIP, map[string]string{"cookie": cookie(c)}))
		if i < keys {
			w.warm = append(w.warm, question("GET", allowedPath, clientIP, map[string]string{"cookie": cookie(c)}))
		}
	}
	for _, k := range made {
		w.keyed = append(w.keyed, question("GET", deniedPath, clientIP, signed(k.Kid, k.Secret)))
	}
	return w, nil
}

func newWorld(ctx context.Context, at place) (world, *store.DB, error) {
	w := world{place: at, key: secret.Bytes(32)}
	sealer, err := secret.NewSealer(w.key)
	if err != nil {
		return w, nil, err
	}
	db, err := store.Open(ctx, w.database, sealer)
	if err != nil {
		return w, nil, err
	}
	if _, err := db.Migrate(ctx); err != nil {
		db.Close()
		return w, nil, err
	}
	return w, db, nil
}

func addRules(ctx context.Context, db *store.DB, n int) error {
	return db.UpdatePolicy(ctx, func(tx policy.Tx) error {
		permissions := []policy.Permission{
			{Action: policy.Accept, Role: "member", Verb: "ALL", Path: "api/v2/peatio/market"},
			{Action: policy.Accept, Role: "member", Verb: "ALL", Path: "api/v2/peatio/account"},
			{Action: policy.Accept, Role: "member", Verb: "ALL", Path: "api/v2/barong/resource"},
		}
		for i := range n - len(permissions) {
			permissions = append(permissions, policy.Permission{
				Action: policy.Accept, Role: []string{"member", "trader", "admin", "support"}[i%4], Verb: "GET",
				Path: "api/v2/finex/market/section" + strconv.Itoa(i/16) + "/item" + strconv.Itoa(i),
			})
		}
		for _, p := range permissions {
			if err := tx.AddPermission(ctx, &p); err != nil {
				return err
			}
		}
		restrictions := []policy.Restriction{
			{Category: policy.Blacklist, Scope: policy.ScopeSubnet, Value: "198.51.100.0/24", Code: 403, State: "enabled"},
		}
		for i := range n - len(restrictions) {
			a := netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
			r := policy.Restriction{Category: policy.Blacklist, Scope: policy.ScopeIP, Value: a.String(), Code: 401, State: "enabled"}
			if i%2 == 1 {
				r.Scope, r.Value = policy.ScopeSubnet, netip.PrefixFrom(netip.AddrFrom4([4]byte{30, byte(i >> 15), byte(i >> 7), byte(i << 1)}), 31).Masked().String()
				r.Code = 403
			}
			restrictions = append(restrictions, r)
		}
		for _, r := range restrictions {
			if err := tx.AddRestriction(ctx, &r); err != nil {
				return err
			}
		}
		return nil
	})
}

func addUsers(ctx context.Context, db *store.DB, n int) ([]string, error) {
	uids := make([]string, n)
	return uids, store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
		for i := range n {
			u := account.User{
				UID: fmt.Sprintf("IDBE%08X", i), Email: "user" + strconv.Itoa(i) + "@bench.example",
				PasswordDigest: "unusable", Role: "member", State: account.StateActive, Level: 3, OTP: true,
			}
			if err := tx.AddUser(ctx, &u); err != nil {
				return err
			}
			uids[i] = u.UID
		}
		return nil
	})
}

// addSessions adds n sessions of the users in turn, to Redis if it has an address and to db
// otherwise, and returns their cookies.
func addSessions(ctx context.Context, db *store.DB, redisURL string, uids []string, n int) ([]string, error) {
	cookies := make([]string, n)
	for i := range cookies {
		cookies[i] = secret.Hex(16)
	}
	now := time.Now().UTC()
	epoch, err := db.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	type adder interface {
		AddSession(context.Context, session.Session) error
	}
	add := func(to adder, i int) error {
		return to.AddSession(ctx, session.Session{
			ID: sha256.Sum256([]byte(cookies[i])), UID: uids[i%len(uids)], IP: netip.MustParseAddr(clientIP), UserAgent: agent,
			CSRFToken: secret.Hex(10), Epoch: epoch, CreatedAt: now, ExpiresAt: now.Add(6 * time.Hour),
		})
	}
	if redisURL == "" {
		return cookies, store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
			for i := range n {
				if err := add(tx.(adder), i); err != nil { // the store's transactions are one type
					return err
				}
			}
			return nil
		})
	}
	s := config.Default()
	s.Redis.URL, s.Redis.Timeout = config.Secret(redisURL), 5*time.Second
	to, err := redis.Open(ctx, configured.Redis(s))
	if err != nil {
		return nil, err
	}
	defer to.Close()
	const writers = 64 // they share exchanges
	errs := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += writers {
				errs[w] = add(to, i)
			}
		})
	}
	all.Wait()
	return cookies, errors.Join(errs...)
}

// addKeys adds keys, bound ones to scopes, networks and a time.
func addKeys(ctx context.Context, db *store.DB, uids []string, n int, bound bool) ([]apikey.Key, error) {
	keys := make([]apikey.Key, n)
	return keys, store.Update[apikey.Tx](db)(ctx, func(tx apikey.Tx) error {
		for i := range n {
			k := apikey.Key{
				Kid: secret.Hex(8), Algorithm: apikey.HS256, State: apikey.Active,
				HolderUID: uids[i%len(uids)], HolderKind: account.KindUser, Secret: secret.Hex(16),
			}
			if bound {
				k.Scope, k.ScopeEnforced, k.ExpiresAt = []string{"withdraw", "trade"}, true, time.Now().Add(24*time.Hour)
				for j := range 10 { // the last one admits
					k.Networks = append(k.Networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(j)}), 16))
				}
				k.Networks = append(k.Networks, netip.MustParsePrefix("203.0.113.0/24"))
			}
			keys[i] = k
			if err := tx.AddAPIKey(ctx, &k); err != nil {
				return err
			}
		}
		return nil
	})
}

func cookie(value string) string { return "_ga=GA1.1.1234567890.1700000000; _barong_session=" + value }

func signed(kid, key string) map[string]string {
	nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(nonce + kid))
	return map[string]string{
		"x-auth-apikey": kid, "x-auth-nonce": nonce, "x-auth-signature": hex.EncodeToString(mac.Sum(nil)),
	}
}

// question is a CheckRequest as the shipped envoy.yaml sends it.
func question(method, path, client string, headers map[string]string) []byte {
	all := map[string]string{
		":method": method, ":path": path, ":authority": "exchange.example", ":scheme": "https",
		"accept": "application/json", "user-agent": agent, "x-forwarded-for": client, "x-forwarded-proto": "https",
		"x-request-id": "7f9d1b52-6f5e-4f0e-9c5a-1d2f3a4b5c6d", "x-envoy-external-address": client,
		"accept-language": "en-GB,en;q=0.7", "accept-encoding": "gzip, br",
	}
	for k, v := range headers {
		all[k] = v
	}
	m := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 51234}}}}},
		Destination: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8099}}}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1234567890", Method: method, Path: path, Host: "exchange.example", Scheme: "https", Protocol: "HTTP/1.1", Headers: all,
		}},
	}}
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // a literal of ours
	}
	return b
}
