package testenv_test

import (
	"testing"
	"time"

	"barong/internal/testenv"
)

func TestStepped(t *testing.T) {
	now := time.Now()
	for _, seconds := range []int64{0, 1, -1, 3600, -3600, 25 * 3600, -365 * 24 * 3600} {
		got := testenv.Stepped(now, seconds)
		if apart := got.Sub(now); apart != 0 {
			t.Errorf("%d s: the monotonic readings are %s apart", seconds, apart)
		}
		if apart := got.Round(0).Sub(now.Round(0)); apart != time.Duration(seconds)*time.Second {
			t.Errorf("%d s: the times of day are %s apart", seconds, apart)
		}
	}
}
