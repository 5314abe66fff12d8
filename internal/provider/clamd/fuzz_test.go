package clamd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"barong/internal/person"
)

// Only the one answer passes a file, only those that end with FOUND call it infected.
func FuzzRead(f *testing.F) {
	for _, answer := range []string{
		"stream: OK\x00", "stream: Win.Test.EICAR_HDB-1 FOUND\x00", "INSTREAM size limit exceeded. ERROR\x00",
		"stream: OK", "stream: OK\n", "stream: OK\x00stream: X FOUND\x00", "stream: OK FOUND\x00", "stream:  FOUND\x00", "stream: FOUND\x00",
		"1: stream: OK\x00", "COMMAND READ TIMED OUT\x00", "UNKNOWN COMMAND\x00", "", "\x00", "stream: ok\x00", "stream: OK \x00",
		"stream: Can't allocate memory ERROR\x00",
	} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		err := read(answer)
		if (err == nil) != (string(answer) == "stream: OK\x00") {
			t.Errorf("%q: %v", answer, err)
		}
		if errors.Is(err, person.ErrInfected) && !(bytes.HasPrefix(answer, []byte("stream: ")) && bytes.HasSuffix(answer, []byte(" FOUND\x00"))) {
			t.Errorf("%q is called infected", answer)
		}
	})
}

// The chunks, put together again, are the content.
func FuzzStream(f *testing.F) {
	f.Add([]byte(""), uint32(0))
	f.Add([]byte("x"), uint32(1))
	f.Add([]byte("content"), uint32(chunk-3))
	f.Add([]byte("content"), uint32(2*chunk-7))
	f.Fuzz(func(t *testing.T, tail []byte, zeros uint32) {
		content := append(make([]byte, zeros%(3*chunk)), tail...)
		var wire bytes.Buffer
		if err := stream(&wire, iotest.HalfReader(bytes.NewReader(content))); err != nil {
			t.Fatal(err)
		}
		if got := string(wire.Next(10)); got != "zINSTREAM\x00" {
			t.Fatalf("command %q", got)
		}
		var got []byte
		for {
			n := binary.BigEndian.Uint32(wire.Next(4))
			if n == 0 {
				break
			}
			if n > chunk || int(n) > wire.Len() {
				t.Fatalf("a chunk of %d bytes", n)
			}
			got = append(got, wire.Next(int(n))...)
		}
		if rest, _ := io.ReadAll(&wire); len(rest) > 0 || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came, %d after the end; want %d", len(got), len(rest), len(content))
		}
	})
}
