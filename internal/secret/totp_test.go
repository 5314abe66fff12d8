package secret

import (
	"bytes"
	"encoding/base32"
	"image/png"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// RFC 6238 appendix B, SHA-1, the last six of the eight digits.
func TestTOTPVectors(t *testing.T) {
	key := []byte("12345678901234567890")
	for unix, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok := TOTPStep(key, code, time.Unix(unix, 0))
		if !ok || step != unix/30 {
			t.Errorf("TOTPStep at %d = %d, %t; want %d, true", unix, step, ok, unix/30)
		}
	}
}

func TestTOTPSkewAndSpaces(t *testing.T) {
	key := []byte("12345678901234567890")
	at := time.Unix(59, 0) // 287082 is the code of step 1
	for name, c := range map[string]struct {
		code string
		now  time.Time
		ok   bool
	}{
		"its own step":                {"287082", at, true},
		"one step later":              {"287082", at.Add(30 * time.Second), true},
		"two steps later":             {"287082", at.Add(60 * time.Second), false},
		"one step early":              {"287082", at.Add(-30 * time.Second), true},
		"white space inside":          {" 287 082\t\n", at, true},
		"a non-breaking space":        {"287\u00a0082", at, true},
		"a wrong digit":               {"287083", at, false},
		"five digits":                 {"28708", at, false},
		"seven digits":                {"2870820", at, false},
		"letters":                     {"abcdef", at, false},
		"nothing":                     {"", at, false},
		"digits of another script":    {"२८७०८२", at, false},
		"before the epoch of steps":   {"287082", time.Unix(-3600, 0), false},
		"six bytes that are no ASCII": {"२८", at, false},
	} {
		step, ok := TOTPStep(key, c.code, c.now)
		if ok != c.ok || (ok && step != 1) {
			t.Errorf("%s: TOTPStep = %d, %t; want step 1, %t", name, step, ok, c.ok)
		}
	}
	if _, ok := TOTPStep(nil, "328482", time.Unix(0, 0)); ok {
		t.Error("an empty secret matches a code, want never")
	}
}

func TestTOTPAgainstAnotherImplementation(t *testing.T) {
	for range 50 {
		key, now := NewTOTPSecret(), time.Unix(1_700_000_000+int64(Bytes(1)[0])*997, 0)
		if len(key) != 20 {
			t.Fatalf("NewTOTPSecret has %d bytes, want 20", len(key))
		}
		code, err := totp.GenerateCode(base32.StdEncoding.EncodeToString(key), now)
		if err != nil {
			t.Fatal(err)
		}
		if step, ok := TOTPStep(key, code, now); !ok || step != now.Unix()/30 {
			t.Errorf("TOTPStep of a foreign code = %d, %t; want %d, true", step, ok, now.Unix()/30)
		}
	}
}

// The exact shape that clients read.
func TestTOTPURL(t *testing.T) {
	key := []byte("12345678901234567890")
	got := TOTPURL("Barong", "ann@example.com", key)
	want := "otpauth://totp/Barong:ann@example.com?algorithm=SHA1&digits=6&issuer=Barong&period=30" +
		"&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	if got != want {
		t.Errorf("TOTPURL =\n%s, want\n%s", got, want)
	}
	odd := TOTPURL("My Exchange & Co+", "a?b#c@example.com", key)
	u, err := url.Parse(odd)
	if err != nil || u.Query().Get("issuer") != "My Exchange & Co+" ||
		u.Path != "/My Exchange & Co+:a?b#c@example.com" || strings.Contains(u.RawQuery, "issuer=My+") {
		t.Errorf("TOTPURL with odd characters = %s (%v)", odd, err)
	}
	parsed, err := otp.NewKeyFromURL(got)
	if err != nil || parsed.Issuer() != "Barong" || parsed.AccountName() != "ann@example.com" || parsed.Period() != 30 {
		t.Errorf("another implementation reads %v (%v)", parsed, err)
	}
}

func TestQRCode(t *testing.T) {
	text := TOTPURL("Barong", "ann@example.com", NewTOTPSecret())
	b, err := QRCode(text, 300)
	if err != nil {
		t.Fatalf("QRCode: %v", err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if got := img.Bounds().Size(); got.X != 300 || got.Y != 300 {
		t.Errorf("size %v, want 300 × 300", got)
	}
	dark := 0
	for y := range 300 {
		for x := range 300 {
			if r, _, _, _ := img.At(x, y).RGBA(); r == 0 {
				dark++
				if x < 4 || y < 4 || x >= 296 || y >= 296 {
					t.Fatalf("dark pixel at %d,%d inside the quiet zone", x, y)
				}
			}
		}
	}
	if dark < 5000 {
		t.Errorf("%d dark pixels, want a code", dark)
	}
}

func TestQRCodeErrorsHideTheText(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		size int
	}{
		"a text that is too long":  {strings.Repeat("s3cret", 1000), 300},
		"a size that is too small": {"s3cret", 10},
		"no size":                  {"s3cret", 0},
	} {
		if _, err := QRCode(c.text, c.size); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error %v, want one that does not quote the text", name, err)
		}
	}
}

func FuzzTOTP(f *testing.F) {
	f.Add([]byte("12345678901234567890"), "287 082", int64(59))
	f.Fuzz(func(t *testing.T, key []byte, code string, unix int64) {
		if unix < 0 || unix > 1<<40 {
			return
		}
		step, ok := TOTPStep(key, code, time.Unix(unix, 0))
		if ok && (step < unix/30-1 || step > unix/30+1) {
			t.Fatalf("step %d at %d is outside the skew", step, unix)
		}
	})
}
