// Package notify turns domain events into mails: which events, in which language, from which
// template, to whom.
//
// It does not own transport (internal/provider/smtp has two Senders) nor the queues (package
// event retries and keeps the order; internal/provider/amqp brings the events of other
// services).
//
//	another service's message ──► Receiver: signature, expression, user ──► Outbox
//
//	outbox item ──► Mailer ──► rule of mailer.yml ──► its expression ──► language ──► template
//	                                                                        Message ──► Sender
package notify
