package peer

import (
	"errors"
	"fmt"
	"slices"
)

// Reasons against messages, for figures and logs: a few fixed words, none of them from a message.
const (
	reasonForm      = "form"        // it is no JWS in general JSON serialization, or one with headers that are not taken
	reasonScope     = "scope"       // the file has no such scope
	reasonSignature = "signature"   // a permitted signer's is wrong
	reasonExpired   = "expired"     // exp is over
	reasonClaims    = "claims"      // exp, jti, iat or another claim is missing or not as it must be
	reasonBinding   = "binding"     // it is for another call
	reasonSigners   = "few_signers" // a mandatory signer is missing, or there are too few
	reasonReplayed  = "replayed"    // it was used before
)

var reasons = [...]string{
	reasonForm, reasonScope, reasonSignature, reasonExpired, reasonClaims, reasonBinding, reasonSigners, reasonReplayed,
}

// A refusal is an error about a message.
type refusal struct {
	is     error // one of the package
	reason string
	text   string // why, for logs; holds nothing secret
}

func (r refusal) Error() string {
	if r.text == "" {
		return r.is.Error()
	}
	return r.is.Error() + ": " + r.text
}

func (r refusal) Unwrap() error { return r.is }

// Reason is the reason in one of a few words, for figures and logs.
func (r refusal) Reason() string { return r.reason }

func refused(reason, format string, args ...any) error {
	return refusal{ErrUnverified, reason, fmt.Sprintf(format, args...)}
}

// counted returns err, counting it if it is a refusal.
func (v *Verifier) counted(err error) error {
	if r, ok := errors.AsType[refusal](err); ok {
		v.refused[slices.Index(reasons[:], r.reason)].Add(1)
	}
	return err
}

// Refused is how many messages were refused, by each reason there is.
func (v *Verifier) Refused() map[string]int64 {
	all := make(map[string]int64, len(reasons))
	for i, reason := range reasons {
		all[reason] = v.refused[i].Load()
	}
	return all
}
