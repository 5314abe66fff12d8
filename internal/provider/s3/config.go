package s3

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"barong/internal/provider/outbound"
)

// Config names the bucket and its service.
type Config struct {
	// Endpoint is the address of the service, https://host[:port]; http is for this machine alone.
	Endpoint string
	// Region of the bucket; "" has the service asked for it.
	Region string
	Bucket string
	// Prefix begins the names of all objects, without the slash that follows it; "" is none.
	Prefix string
	// AccessKey and SecretKey sign requests.
	AccessKey, SecretKey string
	// PathStyle has the bucket in the path of requests also where the service knows it as a host.
	PathStyle bool
	// Timeout bounds a write, a deletion, and each wait for more of a file or of a list; at least 1 s.
	Timeout time.Duration
}

// prefixShape admits paths of plain words, so that a prefix reads alike at all services.
var prefixShape = regexp.MustCompile(`^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$`)

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := outbound.CheckAddress(c.Endpoint); err != nil {
		say("the endpoint %w", err)
	} else if u, err := url.Parse(c.Endpoint); err != nil || strings.Trim(u.Path, "/") != "" {
		say("the endpoint has a path: it is https://host[:port], and the bucket is named beside it")
	}
	if err := s3utils.CheckValidBucketNameStrict(c.Bucket); err != nil {
		say("the bucket has no valid name: 3 to 63 lower-case letters, digits, dots and hyphens")
	}
	if !prefixShape.MatchString(c.Prefix) {
		say("the prefix must be words of letters, digits, - and _ with / between them")
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		say("access key and secret key are mandatory")
	}
	if c.Timeout < time.Second {
		say("the timeout is %v, want at least 1s", c.Timeout)
	}
	return errors.Join(problems...)
}
