package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// An envoyFile is one of the shipped Envoy files, decoded into Envoy's own messages.
type envoyFile struct {
	bootstrap *bootstrapv3.Bootstrap
	hcm       *hcmv3.HttpConnectionManager
	authz     *extauthzv3.ExtAuthz
	host      *routev3.VirtualHost
	clusters  map[string]*clusterv3.Cluster
}

// load decodes a shipped file strictly (an unknown field is an error) and validates every
// message in it, also those inside typed_config.
func load(t *testing.T, file string) envoyFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	c := envoyFile{bootstrap: new(bootstrapv3.Bootstrap), clusters: map[string]*clusterv3.Cluster{}}
	if err := protojson.Unmarshal(asJSON, c.bootstrap); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := validateAll(c.bootstrap); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	static := c.bootstrap.GetStaticResources()
	if len(static.GetListeners()) != 1 || len(static.Listeners[0].GetFilterChains()) != 1 || len(static.Listeners[0].FilterChains[0].GetFilters()) != 1 {
		t.Fatalf("%s: want one listener with one chain of one filter", file)
	}
	c.hcm = new(hcmv3.HttpConnectionManager)
	unpack(t, static.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig(), c.hcm)
	for _, f := range c.hcm.GetHttpFilters() {
		if f.GetName() == "envoy.filters.http.ext_authz" {
			c.authz = new(extauthzv3.ExtAuthz)
			unpack(t, f.GetTypedConfig(), c.authz)
		}
	}
	if c.authz == nil {
		t.Fatalf("%s: no ext_authz filter", file)
	}
	if hosts := c.hcm.GetRouteConfig().GetVirtualHosts(); len(hosts) != 1 {
		t.Fatalf("%s: %d virtual hosts, want one", file, len(hosts))
	}
	c.host = c.hcm.GetRouteConfig().GetVirtualHosts()[0]
	for _, cl := range static.GetClusters() {
		c.clusters[cl.GetName()] = cl
	}
	return c
}

func unpack(t *testing.T, any *anypb.Any, into proto.Message) {
	t.Helper()
	if err := any.UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
}

// validateAll runs the generated validation on m and on every message packed inside it.
func validateAll(m proto.Message) error {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			return fmt.Errorf("%s: %w", m.ProtoReflect().Descriptor().FullName(), err)
		}
	}
	return protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		inner, ok := p.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		packed, ok := inner.Interface().(*anypb.Any)
		if !ok {
			return nil
		}
		unpacked, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		return validateAll(unpacked)
	})
}

// shipped are the files and whether they ask over gRPC.
var shipped = map[string]bool{"envoy.yaml": true, "deploy/envoy-http.yaml": false}

func TestEnvoyFiles(t *testing.T) {
	for file, grpc := range shipped {
		t.Run(file, func(t *testing.T) {
			c := load(t, file)
			t.Run("AZ-360: the question", func(t *testing.T) { question(t, c, grpc) })
			t.Run("AZ-361: the connection manager", func(t *testing.T) { connectionManager(t, c) })
			t.Run("FX-8: headers that clients may not set", func(t *testing.T) {
				forbids(t, envoyRemoves(t, c.hcm), envoySays)
				mayAnswer(t, c.authz)
			})
			t.Run("AZ-362, D5: routes", func(t *testing.T) { routes(t, c) })
			t.Run("AZ-363: CORS", func(t *testing.T) { cors(t, c) })
			t.Run("D19: the access log", func(t *testing.T) { accessLog(t, c, grpc) })
			t.Run("the clusters", func(t *testing.T) { clusters(t, c, grpc) })
		})
	}
}

// check compares one setting.
func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func question(t *testing.T, c envoyFile, grpc bool) {
	a := c.authz
	var names []string
	for _, f := range c.hcm.GetHttpFilters() {
		names = append(names, strings.TrimPrefix(f.GetName(), "envoy.filters.http."))
		check(t, f.GetName()+" disabled", f.GetDisabled(), false)
		check(t, f.GetName()+" optional", f.GetIsOptional(), false)
	}
	check(t, "filters", strings.Join(names, " "), "cors local_ratelimit ext_authz router")
	check(t, "transport_api_version", a.GetTransportApiVersion(), corev3.ApiVersion_V3)
	check(t, "failure_mode_allow", a.GetFailureModeAllow(), false)
	check(t, "failure_mode_allow_header_add", a.GetFailureModeAllowHeaderAdd(), false)
	check(t, "status_on_error", int(a.GetStatusOnError().GetCode()), 503)
	check(t, "validate_mutations", a.GetValidateMutations(), true)
	check(t, "clear_route_cache", a.GetClearRouteCache(), false)
	check(t, "encode_raw_headers", a.GetEncodeRawHeaders(), false)
	check(t, "with_request_body", a.GetWithRequestBody() == nil, true)
	check(t, "filter_enabled", a.GetFilterEnabled() == nil && a.GetFilterEnabledMetadata() == nil, true)
	check(t, "shadow_mode", a.GetShadowMode(), false)
	rules := a.GetDecoderHeaderMutationRules()
	check(t, "mutations: disallow_all", rules.GetDisallowAll().GetValue(), true)
	check(t, "mutations: disallow_is_error", rules.GetDisallowIsError().GetValue(), true)

	asks := patterns(a.GetAllowedHeaders())
	for _, h := range []string{"cookie", "x-auth-*", "x-csrf-token", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "origin",
		"access-control-request-method", "content-type", "upgrade", "cf-connecting-ip", "true-client-ip", "signature",
		"signature-input", "content-digest"} {
		check(t, "asked with "+h, slices.Contains(asks, h), true)
	}
	check(t, "asked with authorization", slices.Contains(asks, "authorization"), false)

	retry := a.GetHttpService().GetRetryPolicy()
	if grpc {
		retry = a.GetGrpcService().GetRetryPolicy()
	}
	askedAgain(t, "the question", retry, neverReached)
	if grpc {
		check(t, "timeout", a.GetGrpcService().GetTimeout().AsDuration(), time.Second)
		check(t, "cluster", a.GetGrpcService().GetEnvoyGrpc().GetClusterName(), "barong_authz")
		return
	}
	h := a.GetHttpService()
	check(t, "timeout", h.GetServerUri().GetTimeout().AsDuration(), time.Second)
	check(t, "cluster", h.GetServerUri().GetCluster(), "barong_authz")
	check(t, "path_prefix", h.GetPathPrefix(), "/api/v2/auth")
	r := h.GetAuthorizationResponse()
	check(t, "to the upstream", strings.Join(patterns(r.GetAllowedUpstreamHeaders()), " "), "authorization cookie")
	check(t, "to the upstream, appended", len(patterns(r.GetAllowedUpstreamHeadersToAppend())), 0)
	check(t, "to the access log", strings.Join(patterns(r.GetDynamicMetadataFromHeaders()), " "), "x-barong-decision")
	check(t, "to the client", strings.Join(patterns(r.GetAllowedClientHeaders()), " "), "cache-control content-type retry-after set-cookie")
}

// A retrier says when something is asked again; a question and a route have it in two types.
type retrier interface {
	GetRetryOn() string
	GetNumRetries() *wrapperspb.UInt32Value
	GetHostSelectionRetryMaxAttempts() int64
}

// neverReached lists the failures after which all but reads may be asked again: a nonce counts once.
const neverReached = "connect-failure,refused-stream,reset-before-request"

// askedAgain checks that a request that one replica failed to answer goes to another, when it may.
func askedAgain(t *testing.T, what string, r retrier, when string) {
	t.Helper()
	check(t, what+" is asked again on", r.GetRetryOn(), when)
	check(t, what+" is asked again", r.GetNumRetries().GetValue(), 2)
	check(t, what+": other hosts looked for", r.GetHostSelectionRetryMaxAttempts(), 3)
	var names []string
	switch r := r.(type) {
	case *corev3.RetryPolicy:
		// Not below the timeout of the question: it is that of each try.
		check(t, what+": time of one try", r.GetRetryBackOff().GetMaxInterval().AsDuration(), time.Second)
		for _, p := range r.GetRetryHostPredicate() {
			names = append(names, p.GetName())
		}
	case *routev3.RetryPolicy:
		for _, p := range r.GetRetryHostPredicate() {
			names = append(names, p.GetName())
		}
	}
	check(t, what+" is asked again of", strings.Join(names, " "), "envoy.retry_host_predicates.previous_hosts")
}

// patterns lists the header names, sorted; "x-*" for a prefix.
func patterns(l *matcherv3.ListStringMatcher) []string {
	var out []string
	for _, p := range l.GetPatterns() {
		switch m := p.GetMatchPattern().(type) {
		case *matcherv3.StringMatcher_Exact:
			out = append(out, m.Exact)
		case *matcherv3.StringMatcher_Prefix:
			out = append(out, m.Prefix+"*")
		default:
			out = append(out, fmt.Sprintf("%v", p))
		}
	}
	sort.Strings(out)
	return out
}

func connectionManager(t *testing.T, c envoyFile) {
	h := c.hcm
	check(t, "use_remote_address", h.GetUseRemoteAddress().GetValue(), true)
	check(t, "skip_xff_append", h.GetSkipXffAppend(), false)
	check(t, "normalize_path", h.GetNormalizePath().GetValue(), true)
	check(t, "merge_slashes", h.GetMergeSlashes(), true)
	check(t, "path_with_escaped_slashes_action", h.GetPathWithEscapedSlashesAction(), hcmv3.HttpConnectionManager_REJECT_REQUEST)
	check(t, "headers_with_underscores_action", h.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction(),
		corev3.HttpProtocolOptions_REJECT_REQUEST)
	check(t, "preserve_external_request_id", h.GetPreserveExternalRequestId(), false)
	check(t, "max_request_headers_kb", h.GetMaxRequestHeadersKb().GetValue(), 32)
	check(t, "upgrades by default", len(h.GetUpgradeConfigs()), 0)
	for what, d := range map[string]time.Duration{
		"request_headers_timeout": h.GetRequestHeadersTimeout().AsDuration(),
		"request_timeout":         h.GetRequestTimeout().AsDuration(),
		"stream_idle_timeout":     h.GetStreamIdleTimeout().AsDuration(),
		"idle_timeout":            h.GetCommonHttpProtocolOptions().GetIdleTimeout().AsDuration(),
	} {
		check(t, what+" is set", d > 0, true)
	}
	// An empty list would make loopback and the private networks internal.
	ranges := h.GetInternalAddressConfig().GetCidrRanges()
	if len(ranges) != 1 || ranges[0].GetAddressPrefix() != "255.255.255.255" || ranges[0].GetPrefixLen().GetValue() != 32 {
		t.Errorf("internal addresses: got %v, want nobody's", ranges)
	}
	listener := c.bootstrap.GetStaticResources().GetListeners()[0]
	for what, a := range map[string]*corev3.Address{"listener": listener.GetAddress(), "admin": c.bootstrap.GetAdmin().GetAddress()} {
		check(t, what+" address", a.GetSocketAddress().GetAddress(), "127.0.0.1")
	}
	check(t, "port", listener.GetAddress().GetSocketAddress().GetPortValue(), 8099)
	check(t, "buffer limit is set", listener.GetPerConnectionBufferLimitBytes().GetValue() > 0, true)
}

func routes(t *testing.T, c envoyFile) {
	want := map[string]string{
		"/api/v2/barong/admin": "barong", "/api/v2/peatio/admin": "peatio", "/api/v2/finex/admin": "finex",
		"/api/v2/barong": "barong", "/api/v2/peatio": "peatio", "/api/v2/applogic": "applogic", "/api/v2/arke": "arke", "/api/v2/finex": "finex",
		"/api/v2/ranger": "ranger",
	}
	seen, read := map[string]bool{}, map[string]bool{}
	for _, r := range c.host.GetRoutes() {
		prefix := r.GetMatch().GetPathSeparatedPrefix()
		if prefix == "" {
			t.Errorf("route %v: want path_separated_prefix", r.GetMatch())
			continue
		}
		a := r.GetRoute()
		check(t, prefix+" cluster", a.GetCluster(), want[prefix])
		switch {
		case len(r.GetMatch().GetHeaders()) > 0: // GET and HEAD, which change nothing
			check(t, prefix+" by method is Barong's", a.GetCluster(), "barong")
			check(t, prefix+" by method", r.GetMatch().GetHeaders()[0].GetName(), ":method")
			check(t, prefix+" of methods", r.GetMatch().GetHeaders()[0].GetStringMatch().GetSafeRegex().GetRegex(), "GET|HEAD")
			check(t, prefix+" by method before it for all", seen[prefix], false)
			askedAgain(t, prefix+" read", a.GetRetryPolicy(), "connect-failure,refused-stream,reset")
			read[prefix] = true
		case a.GetCluster() == "barong":
			askedAgain(t, prefix, a.GetRetryPolicy(), neverReached)
			check(t, prefix+" has a route for reads", read[prefix], true)
			fallthrough
		default:
			seen[prefix] = true
		}
		check(t, prefix+" rewrites nothing", a.GetPrefixRewrite() == "" && a.GetRegexRewrite() == nil && a.GetPathRewritePolicy() == nil, true)
		check(t, prefix+" upgrades", len(a.GetUpgradeConfigs()) == 1, prefix == "/api/v2/ranger")
		for longer := range seen {
			if strings.HasPrefix(prefix, longer+"/") {
				t.Errorf("%s stands behind %s and is never reached", prefix, longer)
			}
		}

		per := new(extauthzv3.ExtAuthzPerRoute)
		packed, ok := r.GetTypedPerFilterConfig()["envoy.filters.http.ext_authz"]
		check(t, prefix+" has its own question", ok, strings.HasSuffix(prefix, "/admin"))
		if !ok {
			continue
		}
		unpack(t, packed, per)
		body := per.GetCheckSettings().GetWithRequestBody()
		check(t, prefix+" is asked about", per.GetDisabled(), false)
		check(t, prefix+" body bytes", body.GetMaxRequestBytes(), 16384)
		check(t, prefix+" partial body", body.GetAllowPartialMessage(), true)
		check(t, prefix+" raw body", body.GetPackAsBytes(), true)
	}
	for prefix := range want {
		check(t, prefix+" is routed", seen[prefix], true)
	}
	last := c.host.GetRoutes()[len(c.host.GetRoutes())-1].GetRoute()
	check(t, "websockets end", last.GetMaxStreamDuration().GetMaxStreamDuration().AsDuration(), time.Hour)
}

func cors(t *testing.T, c envoyFile) {
	p := new(corsv3.CorsPolicy)
	unpack(t, c.host.GetTypedPerFilterConfig()["envoy.filters.http.cors"], p)
	for _, o := range p.GetAllowOriginStringMatch() {
		check(t, "origins are exact", o.GetExact() != "" && o.GetExact() != "*", true)
	}
	check(t, "credentials", p.GetAllowCredentials().GetValue(), true)
	check(t, "methods", p.GetAllowMethods(), "GET, POST, PUT, PATCH, DELETE, OPTIONS")
	for _, h := range []string{"content-type", "x-csrf-token", "x-auth-apikey", "x-auth-nonce", "x-auth-signature"} {
		check(t, "header "+h, slices.Contains(strings.Split(p.GetAllowHeaders(), ", "), h), true)
	}
}

func accessLog(t *testing.T, c envoyFile, grpc bool) {
	if len(c.hcm.GetAccessLog()) != 1 {
		t.Fatalf("%d access logs, want one", len(c.hcm.GetAccessLog()))
	}
	log := new(streamv3.StdoutAccessLog)
	unpack(t, c.hcm.GetAccessLog()[0].GetTypedConfig(), log)
	fields := log.GetLogFormat().GetJsonFormat().GetFields()
	check(t, "path", fields["path"].GetStringValue(), "%PATH(NQ)%")
	for name, f := range fields {
		for _, secret := range []string{"REQ(:PATH)", "COOKIE", "AUTH-", "AUTHORIZATION", "RESP("} {
			check(t, name+" holds "+secret, strings.Contains(strings.ToUpper(f.GetStringValue()), secret), false)
		}
	}
	for _, name := range []string{"time", "method", "status", "duration_ms", "request_id", "details"} {
		check(t, name+" is logged", fields[name] != nil, true)
	}
	id := "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:decision)%"
	if !grpc {
		id = "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:x-barong-decision)%"
	}
	check(t, "the decision's id", fields["decision"].GetStringValue(), id)
}

func clusters(t *testing.T, c envoyFile, grpc bool) {
	ports := map[string]uint32{"barong": 8001, "peatio": 8000, "applogic": 8081, "arke": 8081, "finex": 8080, "ranger": 8082, "barong_authz": 8002}
	if grpc {
		ports["barong_authz"] = 9001
	}
	check(t, "clusters", len(c.clusters), len(ports))
	for name, port := range ports {
		got := c.clusters[name].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
		check(t, name, fmt.Sprintf("%s:%d", got.GetAddress(), got.GetPortValue()), fmt.Sprintf("127.0.0.1:%d", port))
	}
	for _, name := range []string{"barong_authz", "barong"} {
		cl := c.clusters[name]
		limits := cl.GetCircuitBreakers().GetThresholds()
		check(t, name+": max_requests", limits[0].GetMaxRequests().GetValue(), 100000)
		check(t, name+": max_retries", limits[0].GetMaxRetries().GetValue(), 1000)
		check(t, name+": healthy replicas alone are asked", cl.GetCommonLbConfig().GetHealthyPanicThreshold().GetValue(), 1)
		// A replica is left alone for taking no connection, never for its answers: a client could
		// provoke those.
		out := cl.GetOutlierDetection()
		check(t, name+": ejected for its answers", out.GetEnforcingConsecutive_5Xx().GetValue()+out.GetEnforcingSuccessRate().GetValue()+
			out.GetEnforcingConsecutiveGatewayFailure().GetValue(), 0)
		check(t, name+": ejected for no connection", out.GetSplitExternalLocalOriginErrors() && out.GetConsecutiveLocalOriginFailure().GetValue() == 3, true)
		check(t, name+": health checks", len(cl.GetHealthChecks()), 1)
		if grpc && name == "barong_authz" {
			continue
		}
		h := cl.GetHealthChecks()[0].GetHttpHealthCheck()
		check(t, name+": health", h.GetPath()+" of "+h.GetHost(), "/readyz of localhost")
		endpoint := cl.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint()
		check(t, name+": health by the ops port", endpoint.GetHealthCheckConfig().GetPortValue(), 9091)
		options := new(httpv3.HttpProtocolOptions)
		unpack(t, cl.GetTypedExtensionProtocolOptions()["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"], options)
		check(t, name+": idle connections end before Barong's", options.GetCommonHttpProtocolOptions().GetIdleTimeout().AsDuration(), time.Minute)
	}
	if !grpc {
		return
	}
	options := new(httpv3.HttpProtocolOptions)
	unpack(t, c.clusters["barong_authz"].GetTypedExtensionProtocolOptions()["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"], options)
	ping := options.GetExplicitHttpConfig().GetHttp2ProtocolOptions().GetConnectionKeepalive()
	check(t, "ping interval", ping.GetInterval().AsDuration(), 10*time.Second)
	check(t, "health by gRPC", c.clusters["barong_authz"].GetHealthChecks()[0].GetGrpcHealthCheck() != nil, true)
}

// The HTTP file is the gRPC one with another way to ask, and nothing else.
func TestEnvoyFilesDifferOnlyInTheQuestion(t *testing.T) {
	a, b := load(t, "envoy.yaml"), load(t, "deploy/envoy-http.yaml")
	for _, c := range []*envoyFile{&a, &b} {
		c.authz.Services = nil
		c.hcm.HttpFilters, c.hcm.AccessLog = nil, nil // compared as c.authz and by accessLog
		delete(c.clusters, "barong_authz")
	}
	for what, diff := range map[string]string{
		"ext_authz":          cmp.Diff(a.authz, b.authz, protocmp.Transform()),
		"connection manager": cmp.Diff(a.hcm, b.hcm, protocmp.Transform()),
		"clusters":           cmp.Diff(a.clusters, b.clusters, protocmp.Transform()),
		"admin":              cmp.Diff(a.bootstrap.GetAdmin(), b.bootstrap.GetAdmin(), protocmp.Transform()),
		"overload manager":   cmp.Diff(a.bootstrap.GetOverloadManager(), b.bootstrap.GetOverloadManager(), protocmp.Transform()),
	} {
		if diff != "" {
			t.Errorf("%s differs (-envoy.yaml +deploy/envoy-http.yaml):\n%s", what, diff)
		}
	}
}
