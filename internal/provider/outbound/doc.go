// Package outbound is how adapters of outside services call out over HTTP: with a bound on
// time and on the size of the answer, following no redirect, and with errors that hold neither
// the address nor the answer, since either may hold a secret.
package outbound
