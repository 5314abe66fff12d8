package factor

import "testing"

// FuzzRecoveryCode: a text is read as no code, or as one whose form reads as itself.
func FuzzRecoveryCode(f *testing.F) {
	for _, seed := range []string{"", "123456", "abcd-efgh-ijkl-mnop", "ABCD EFGH IJKL MNOP", "abcdefghijklmnop2", "é", "----"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, ok := recoveryCode(text)
		if !ok {
			return
		}
		if again, ok := recoveryCode(code); !ok || again != code || len(code) != recoveryCodeLen+3 {
			t.Errorf("%q reads as %q, which reads as %q, %v", text, code, again, ok)
		}
	})
}
