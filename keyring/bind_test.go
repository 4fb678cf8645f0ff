package keyring

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/sealmq/sealmq/cose"
)

// TestBind: a binding is validated, durable, and leaves everything else as it was.
func TestBind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	d, err := Create(path, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := cose.GenerateKey(cose.AlgHMAC256)
	if err != nil {
		t.Fatal(err)
	}
	rec := &Record{
		KID: []byte("group\x00\x01"), Key: key, Alg: cose.AlgHMAC256, Use: UseMAC, State: StateActive,
		Sender: SenderRule{Kind: SenderWire, Size: 8}, Topics: []string{"a"}, MaxMessages: 5000,
	}
	if err := d.Add(rec); err != nil {
		t.Fatal(err)
	}
	client := "press"
	if err := d.Bind(rec.KID, []string{"b/#"}, &client); err != nil {
		t.Fatal(err)
	}
	if err := d.Bind(rec.KID, []string{"b/#/c"}, nil); !errors.Is(err, ErrRecord) {
		t.Errorf("bad filter: %v", err)
	}
	if err := d.Bind([]byte("nobody"), nil, &client); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown kid: %v", err)
	}
	again, err := Open(path, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	got := again.Ring().Lookup(rec.KID)
	if got.Allows("a") || !got.Allows("b/x") || got.ClientID != client || !got.Key.Equal(key) || got.Sender.Size != 8 {
		t.Errorf("got %v", got)
	}
	if err := d.Budget(got).Take(); err != nil {
		t.Fatal(err)
	}
	if used, limit, err := d.Used(got); used == 0 || limit != 5000 || err != nil {
		t.Errorf("%d of %d, %v", used, limit, err)
	}
	first, err := d.Bundles(rec.KID).ReserveFrom(1000)
	second, err2 := d.Bundles(rec.KID).ReserveFrom(10)
	if first != 1000 || second != 1001 || err != nil || err2 != nil {
		t.Errorf("serials %d and %d, %v, %v", first, second, err, err2)
	}
}
