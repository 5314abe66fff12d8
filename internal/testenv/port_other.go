//go:build !unix

package testenv

func reserve(int) bool { return true }
