// Package s3 keeps uploaded files in a bucket of Amazon S3 or of any service that speaks its protocol.
// It owns how the service is asked and how long; person owns the names.
//
//	<prefix>/<uid>/<document id>/<random>   one object, written by one request
package s3
