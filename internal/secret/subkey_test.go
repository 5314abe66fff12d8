package secret

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestSubKey(t *testing.T) {
	device, err := SubKey(testKey(7), "device")
	if err != nil {
		t.Fatal(err)
	}
	// Cookies outlive processes: the key must not change. By RFC 5869 over HMAC-SHA-256.
	if got, want := hex.EncodeToString(device), "f0e1ef1cb6c258c6aac335bb619b38e463641a1e4f9648b1d75c2967491a250c"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	for name, other := range map[string][2]any{
		"another purpose":    {testKey(7), "other"},
		"another master key": {testKey(8), "device"},
	} {
		key, err := SubKey(other[0].([]byte), other[1].(string))
		if err != nil || bytes.Equal(key, device) {
			t.Errorf("%s: the same key, or %v", name, err)
		}
	}
	if _, err := SubKey(testKey(7)[:16], "device"); !errors.Is(err, ErrKey) {
		t.Errorf("a short master key: %v, want ErrKey", err)
	}
}
