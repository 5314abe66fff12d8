package session

import "net/netip"

// SameNetwork reports whether a and b lie in one network of v4bits or v6bits; IPv4-mapped
// addresses count as IPv4, zones are ignored. 0 bits switch the binding off for that
// family; addresses of different families, or none, match only when both are off. It
// allocates nothing.
func SameNetwork(a, b netip.Addr, v4bits, v6bits int) bool {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	if !a.IsValid() || !b.IsValid() || a.Is4() != b.Is4() {
		return v4bits == 0 && v6bits == 0
	}
	bits := v6bits
	if a.Is4() {
		bits = v4bits
	}
	if bits == 0 {
		return true
	}
	network, err := a.Prefix(bits)
	return err == nil && network.Contains(b)
}
