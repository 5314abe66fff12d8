//go:build !linux

package secret

// lowerPriority does nothing: elsewhere threads of a process have no priority of their own.
func lowerPriority() {}
