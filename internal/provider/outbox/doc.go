// Package outbox keeps messages in a folder where a person looks at them, in place of the services that
// would send them: files for mails (package smtp), and codes for phones.
package outbox
