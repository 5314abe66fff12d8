// Command sign makes in a shell the codes of an authenticator app and the headers of a trading
// bot, so that the README's first signed call needs nothing but curl and Go.
//
//	sign code SECRET        the one-time code of a base32 secret, now (RFC 6238)
//	sign headers KID SECRET the three headers of a signed request, as curl arguments (AZ-119)
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/pquerna/otp/totp"
)

func main() {
	if err := sign(os.Args[1:], time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(2)
	}
}

func sign(args []string, now time.Time) error {
	switch {
	case len(args) == 2 && args[0] == "code":
		code, err := totp.GenerateCode(args[1], now)
		if err != nil {
			return err
		}
		fmt.Println(code)
	case len(args) == 3 && args[0] == "headers":
		nonce := strconv.FormatInt(now.UnixMilli(), 10)
		mac := hmac.New(sha256.New, []byte(args[2]))
		mac.Write([]byte(nonce + args[1]))
		fmt.Printf("-HX-Auth-Apikey:%s -HX-Auth-Nonce:%s -HX-Auth-Signature:%s\n", args[1], nonce, hex.EncodeToString(mac.Sum(nil)))
	default:
		return errors.New("usage: sign code SECRET | sign headers KID SECRET")
	}
	return nil
}
