package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"barong/internal/person"
)

const (
	tries     = 3 // of a request that the service could not take, the first included
	maxHeader = 32 << 10
	noSuchKey = "NoSuchKey"
)

// Files is a store of uploaded files. It is safe for concurrent use.
type Files struct {
	config Config
	prefix string // with its slash
	client minio.Core
}

var _ person.Files = (*Files)(nil)

// New makes a store; it connects to nothing. transport may be nil for one that takes proxies from the
// environment.
func New(c Config, transport http.RoundTripper) (*Files, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("s3: configuration: %w", err)
	}
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: min(c.Timeout, 5*time.Second)}).DialContext,
			TLSHandshakeTimeout: min(c.Timeout, 5*time.Second), ResponseHeaderTimeout: c.Timeout,
			ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		}
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil { // Validate has parsed it
		return nil, errors.New("s3: configuration: the endpoint is not an address")
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: endpoint.Scheme == "https",
		Transport: transport, Region: c.Region, BucketLookup: lookup, MaxRetries: tries,
	})
	if err != nil {
		return nil, errors.New("s3: configuration: the endpoint is not one of an S3 service")
	}
	f := &Files{config: c, client: minio.Core{Client: client}}
	if c.Prefix != "" {
		f.prefix = c.Prefix + "/"
	}
	return f, nil
}

// Put implements person.Files. Content that can be read again from its start is sent again when the
// service could not take it.
func (f *Files) Put(ctx context.Context, name, contentType string, size int64, content io.Reader) error {
	if err := errors.Join(person.CheckFileName(name), ctx.Err()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	sent := newExact(content, size)
	_, err := f.client.Client.PutObject(ctx, f.config.Bucket, f.prefix+name, sent.body(), size, minio.PutObjectOptions{
		ContentType: contentType, DisableMultipart: true,
	})
	if wrong := sent.close(); wrong != nil && err != nil {
		return fmt.Errorf("s3: put: %w", wrong)
	}
	return failed("put", err)
}

// Open implements person.Files. The reader ends with an error when no byte comes for the timeout.
func (f *Files) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := errors.Join(person.CheckFileName(name), ctx.Err()); err != nil {
		return nil, err
	}
	alive := newWatchdog(ctx, f.config.Timeout)
	body, _, _, err := f.client.GetObject(alive.ctx, f.config.Bucket, f.prefix+name, minio.GetObjectOptions{})
	alive.pause()
	if err == nil {
		return &object{body, alive}, nil
	}
	alive.cancel()
	if minio.ToErrorResponse(err).Code == noSuchKey {
		return nil, person.ErrNoFile
	}
	return nil, failed("open", err)
}

// An object is the content of a file on its way.
type object struct {
	body  io.ReadCloser
	alive *watchdog
}

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	o.alive.resume()
	n, err := o.body.Read(p)
	o.alive.pause()
	if err != nil && !errors.Is(err, io.EOF) {
		err = failed("read", err)
	}
	return n, err
}

// Close implements io.Closer.
func (o *object) Close() error {
	o.alive.cancel()
	return o.body.Close()
}

// Delete implements person.Files. In a bucket that keeps versions the older ones stay.
func (f *Files) Delete(ctx context.Context, name string) error {
	if err := errors.Join(person.CheckFileName(name), ctx.Err()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	err := f.client.RemoveObject(ctx, f.config.Bucket, f.prefix+name, minio.RemoveObjectOptions{})
	if minio.ToErrorResponse(err).Code == noSuchKey {
		return nil
	}
	return failed("delete", err)
}

// Names implements person.Files; objects of other names are not ours.
func (f *Files) Names(ctx context.Context, yield func(name string, modified time.Time) bool) error {
	alive := newWatchdog(ctx, f.config.Timeout)
	defer alive.cancel()
	for o := range f.client.ListObjectsIter(alive.ctx, f.config.Bucket, minio.ListObjectsOptions{Prefix: f.prefix, Recursive: true}) {
		if o.Err != nil {
			return failed("list", o.Err)
		}
		name, ours := strings.CutPrefix(o.Key, f.prefix)
		if !ours || person.CheckFileName(name) != nil {
			continue
		}
		alive.pause() // the caller's time is not the service's
		if !yield(name, o.LastModified) {
			return nil
		}
		alive.resume()
	}
	return failed("list", context.Cause(alive.ctx))
}

// failed is an error without the object's name and the texts of the service, either of which may be
// about a person; nil for nil.
func failed(verb string, err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	var call *url.Error
	var network *net.OpError
	switch {
	case errors.As(err, &answer):
		return fmt.Errorf("s3: %s: the service answers %d %s", verb, answer.StatusCode, word(answer.Code))
	case errors.As(err, &network):
		return fmt.Errorf("s3: %s: %w", verb, network)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("s3: %s: %w", verb, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("s3: %s: %w", verb, context.DeadlineExceeded)
	case errors.As(err, &call), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("s3: %s: the connection broke", verb)
	}
	return fmt.Errorf("s3: %s: the answer is not understood", verb)
}

// word is a code of the service, if it looks like one.
func word(code string) string {
	if code == "" || len(code) > 64 || strings.ContainsFunc(code, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) {
		return "with no known code"
	}
	return code
}
