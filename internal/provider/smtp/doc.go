// Package smtp delivers mails of package notify: to an SMTP server (RFC 5321), or into a folder
// where a person looks at them.
package smtp
