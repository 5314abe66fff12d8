// Package captcha asks outside services whether a client is human: reCAPTCHA (version 2),
// hCaptcha and Turnstile, which share one call, and GeeTest (version 3).
//
// A service that cannot be reached, does not answer in time or answers unreadably
// has not said no: that is an error of its own, and never a pass (design D20).
// Keys travel in POST bodies only; no error holds a key, a response or an answer.
package captcha
