package store_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// The seal is the plain HMAC-SHA256 of what stands before it, each time a codec is used.
func TestSealIsAnHMAC(t *testing.T) {
	for _, body := range []string{"one", "two", "one"} {
		b, err := secret.Encode(storetest.Entry(storetest.Key("k"), body))
		if err != nil {
			t.Fatal(err)
		}
		at := len(b) - sha256.Size
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write(b[:at-2])
		if want := mac.Sum([]byte{0xc4, sha256.Size}); !bytes.Equal(b[at-2:], want) {
			t.Errorf("the seal is %x; want %x", b[at-2:], want)
		}
	}
}

func TestCodecKeepsItsSecret(t *testing.T) {
	mine := []byte("secret")
	c := store.NewCodec(mine)
	copy(mine, "public")
	b, err := c.Encode(storetest.Entry(storetest.Key("k"), "body"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Decode(b); err != nil {
		t.Errorf("after the caller changed his secret: %v", err)
	}
	if store.NewCodec(nil) != (store.Codec{}) {
		t.Error("an empty secret makes no zero Codec")
	}
}

func TestCodecIsForManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				e := storetest.Entry(storetest.Key("k"), fmt.Sprint(g, i))
				b, err := secret.Encode(e)
				if err != nil {
					t.Error(err)
					return
				}
				if back, err := secret.Decode(b); err != nil || !storetest.Equal(back, e) {
					t.Errorf("%d, %d comes back as %+v, %v", g, i, back, err)
				}
			}
		})
	}
	wg.Wait()
}
