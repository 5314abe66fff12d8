package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, which authenticator apps support
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/boombuler/barcode/qr"
)

// Parameters of one-time codes; authenticator apps know no others.
const (
	totpDigits     = 6
	totpPeriod     = 30 // seconds
	totpSkew       = 1  // steps to each side
	totpSecretSize = 20
)

// NewTOTPSecret makes a random key of 20 bytes (RFC 4226 §4 R6).
func NewTOTPSecret() []byte { return Bytes(totpSecretSize) }

// TOTPStep checks a one-time code by RFC 6238: SHA-1, six digits, steps of 30 s, one step of
// skew to each side; white space anywhere in the code is ignored. It returns the newest time
// step that the code is right for: the caller refuses a step that is not above the last one
// it accepted, or the code could be used twice. All steps are compared in constant time. An
// empty secret matches nothing.
func TOTPStep(secret []byte, code string, now time.Time) (step int64, ok bool) {
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, code)
	if len(digits) != totpDigits || len(secret) == 0 {
		return 0, false
	}
	current := now.Unix() / totpPeriod
	for s := current - totpSkew; s <= current+totpSkew; s++ {
		want := totpCode(secret, s)
		if subtle.ConstantTimeCompare([]byte(digits), want[:]) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// totpCode is HOTP (RFC 4226 §5.3) of the time step.
func totpCode(secret []byte, step int64) (code [totpDigits]byte) {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	for i := totpDigits - 1; i >= 0; i-- {
		code[i] = '0' + byte(n%10)
		n /= 10
	}
	return code
}

// TOTPURL is the text that an authenticator app reads from the QR code:
//
//	otpauth://totp/<issuer>:<account>?algorithm=SHA1&digits=6&issuer=<issuer>&period=30&secret=<base32>
//
// The secret is base32 without padding. It must not be logged.
func TOTPURL(issuer, account string, secret []byte) string {
	label := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account}
	// Apps take a plus sign in the query for a plus sign, so a space is %20 here.
	query := strings.ReplaceAll(url.QueryEscape(issuer), "+", "%20")
	return fmt.Sprintf("%s?algorithm=SHA1&digits=%d&issuer=%s&period=%d&secret=%s", label.String(),
		totpDigits, query, totpPeriod, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret))
}

// QRCode draws text as a QR code and returns a PNG of size × size pixels, with the quiet
// zone of four modules that scanners need. It is an error when the text is too long for a
// QR code or the size too small for the text.
func QRCode(text string, size int) ([]byte, error) {
	const quiet = 4
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil { // not wrapped: some of the library's errors quote the text
		return nil, fmt.Errorf("secret: draw QR code: %d bytes do not fit", len(text))
	}
	n := code.Bounds().Dx()
	scale := size / (n + 2*quiet)
	if scale < 1 {
		return nil, fmt.Errorf("secret: draw QR code: %d modules do not fit in %d pixels", n+2*quiet, size)
	}
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	margin := (size - n*scale) / 2
	for y := range n * scale {
		for x := range n * scale {
			if r, _, _, _ := code.At(x/scale, y/scale).RGBA(); r == 0 {
				img.SetColorIndex(margin+x, margin+y, 1)
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, fmt.Errorf("secret: draw QR code: %w", err)
	}
	return out.Bytes(), nil
}
