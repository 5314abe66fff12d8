package secret

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "secret.key")
	first, err := LoadOrCreateKey(path)
	if err != nil || len(first) != KeySize {
		t.Fatalf("LoadOrCreateKey = %d bytes, %v; want %d", len(first), err, KeySize)
	}
	second, err := LoadOrCreateKey(path)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the second call: %v, want the same key", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	files, _ := os.ReadDir(filepath.Dir(path))
	if len(files) != 1 {
		t.Errorf("%d files beside the key, want it alone", len(files))
	}
}

func TestKeyCreatedOnceByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], _ = LoadOrCreateKey(path) })
	}
	wg.Wait()
	for i, k := range keys {
		if len(k) != KeySize || !bytes.Equal(k, keys[0]) {
			t.Errorf("caller %d got another key than caller 0", i)
		}
	}
}

func TestKeyFileRefused(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(testKey(7))
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"readable by the group":  {good, 0o640, "chmod 600"},
		"readable by everyone":   {good, 0o604, "chmod 600"},
		"writable by the group":  {good, 0o620, "chmod 600"},
		"a key of 16 bytes":      {base64.StdEncoding.EncodeToString(testKey(7)[:16]), 0o600, "has 16 bytes, want 32"},
		"no base64":              {"not a key!", 0o600, "not base64"},
		"an empty file":          {"", 0o600, "is empty"},
		"white space only":       {"\n", 0o600, "has 0 bytes"},
		"two keys":               {good + "\n" + good, 0o600, "secret.key"},
		"a key and much besides": {good + strings.Repeat(" ", 4096) + "x", 0o400, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret.key")
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil { // whatever the umask
				t.Fatal(err)
			}
			_, err := LoadOrCreateKey(path)
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v; want ErrKey that says %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), good) {
				t.Errorf("the error quotes the key: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != c.text {
				t.Error("the file was changed, want it left alone")
			}
		})
	}
	if _, err := LoadOrCreateKey(t.TempDir()); !errors.Is(err, ErrKey) {
		t.Errorf("a folder: %v, want ErrKey", err)
	}
}

func TestParseKey(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	for name, text := range map[string]string{
		"standard":             base64.StdEncoding.EncodeToString(raw),
		"URL-safe":             base64.URLEncoding.EncodeToString(raw),
		"unpadded":             base64.RawStdEncoding.EncodeToString(raw),
		"with space around it": " " + base64.StdEncoding.EncodeToString(raw) + "\n",
	} {
		if got, err := ParseKey(text); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: ParseKey = %x, %v; want the key", name, got, err)
		}
	}
	if _, err := ParseKey(""); !errors.Is(err, ErrKey) {
		t.Errorf("nothing: %v, want ErrKey", err)
	}
}

func TestRandomShapes(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"hex":  {Hex(10), `^[0-9a-f]{20}$`},
		"uid":  {UID("ID"), `^ID[0-9A-F]{10}$`},
		"uuid": {UUID(), `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
	} {
		if !regexp.MustCompile(c.want).MatchString(c.got) {
			t.Errorf("%s: %q does not match %s", name, c.got, c.want)
		}
	}
	if a, b := UUID(), UUID(); a == b {
		t.Error("the same twice, want random")
	}
}
