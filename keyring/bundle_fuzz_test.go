package keyring

import (
	"bytes"
	"testing"
	"time"
)

// FuzzOpenBundle: no bytes but those that the exporter made open, and they give the records that went in.
func FuzzOpenBundle(f *testing.F) {
	exporter, member := record(f, UseSign, "", nil), record(f, UseEnc, "", nil)
	group := groupRecord(f, "a1b2c30001")
	b := Bundle{Serial: 2, Issued: time.Unix(1_800_000_000, 0), Records: []*Record{group}}
	wire, err := b.Seal(exporter, member.Public(), false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Add(wire[:len(wire)-1])
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := OpenBundle(in, member, exporter.Public())
		if err != nil {
			return
		}
		if !bytes.Equal(in, wire) {
			t.Fatalf("forged: %x", in)
		}
		if len(got.Records) != 1 || !got.Records[0].Key.Equal(group.Key) {
			t.Fatalf("%d records", len(got.Records))
		}
	})
}

// FuzzBundleContent: what an exporter signs is read strictly, whatever it is.
func FuzzBundleContent(f *testing.F) {
	exporter, member := record(f, UseSign, "", nil), record(f, UseEnc, "", nil)
	good, err := groupRecord(f, "a1b2c30001").encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":1,"serial":1,"issued":1,"records":[` + string(good) + `]}`))
	f.Add([]byte(`{"version":1,"serial":0,"issued":1,"records":[]}`))
	f.Add([]byte(`{"version":1,"serial":1,"issued":1,"records":[null]} x`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		wire, err := sealBundle(payload, exporter, member.Public())
		if err != nil {
			t.Fatal(err)
		}
		b, err := OpenBundle(wire, member, exporter.Public())
		if err != nil {
			return
		}
		if b.Serial == 0 || len(b.Records) > MaxBundleRecords {
			t.Fatalf("%q: serial %d, %d records", payload, b.Serial, len(b.Records))
		}
		for _, rec := range b.Records {
			if err := rec.Validate(); err != nil {
				t.Fatalf("%q: %v", payload, err)
			}
		}
	})
}
