package secret

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxKeyFile is more bytes than a key and its white space need.
const maxKeyFile = 256

// ErrKey says that a master key is unusable: wrong encoding, wrong length, or a file that
// others may read.
var ErrKey = errors.New("secret: unusable master key")

// ParseKey reads a master key: base64 (standard or URL-safe, padded or not) of exactly
// KeySize bytes; white space around it is ignored. The error is ErrKey and never holds any
// part of the key.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	key, err := enc.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64", ErrKey)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: has %d bytes, want %d", ErrKey, len(key), KeySize)
	}
	return key, nil
}

// LoadOrCreateKey reads the master key from a file, or makes a random one there (mode 0600,
// missing folders 0700, base64 with a line feed). The file appears complete or not at all,
// and of two processes that create it at once both get the same key. A file that group or
// others can read or write, or that holds anything but one key, is refused with ErrKey: a
// wrong key would make every sealed column unreadable.
func LoadOrCreateKey(path string) ([]byte, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	return loadKey(path)
}

func loadKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrKey, path)
	}
	// Windows has no such bits; its files always look world-readable.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s has mode %#o and others can get at it; run chmod 600 on it",
			ErrKey, path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if len(text) == 0 || len(text) > maxKeyFile {
		return nil, fmt.Errorf("%w: %s is empty or too long for a key", ErrKey, path)
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// createKey writes a temporary file and links it into place: unlike a rename, a link never
// replaces the key that another process has just made.
func createKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()

	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if _, err := f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
