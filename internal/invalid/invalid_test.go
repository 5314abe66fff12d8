package invalid_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"barong/internal/invalid"
)

func TestFields(t *testing.T) {
	var bad invalid.Fields
	if err := bad.Err(); err != nil {
		t.Fatalf("no problem: got error %v", err)
	}
	bad.Add("email", invalid.Blank, invalid.TooLong)
	bad.Explain("path", invalid.Malformed, "it ends in a dot")
	err := fmt.Errorf("save: %w", bad.Err())
	got, ok := errors.AsType[invalid.Fields](err)
	if !ok {
		t.Fatalf("%v is no Fields", err)
	}
	if want := []string{"email.blank", "email.too_long", "path.invalid"}; !slices.Equal(got.Tokens(), want) {
		t.Errorf("tokens: got %v, want %v", got.Tokens(), want)
	}
	if want := "save: email.blank, email.too_long, path.invalid (it ends in a dot)"; err.Error() != want {
		t.Errorf("error: got %q, want %q", err, want)
	}
	if !got.Has("path") || got.Has("role") || !got.Breaks(invalid.Blank) || got.Breaks("taken") {
		t.Errorf("Has or Breaks is wrong about %v", got)
	}
	if one, _ := errors.AsType[invalid.Fields](invalid.Field("otp", "missing")); !slices.Equal(one.Tokens(), []string{"otp.missing"}) {
		t.Errorf("Field: got %v", one)
	}
}
