package protect_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/cbor"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// derive is the key schedule of mode S, written a second time.
func (w *world) derive(k key, kidContext, sender []byte) (aead, base []byte) {
	info := func(alg int64, bits uint64) string {
		b := cbor.AppendInt(cbor.AppendArray(nil, 4), alg)
		for _, p := range [][]byte{sender, k.KID} {
			b = cbor.AppendNull(cbor.AppendNull(cbor.AppendBytes(cbor.AppendArray(b, 3), p)))
		}
		b = cbor.AppendUint(cbor.AppendArray(b, 3), bits)
		return string(cbor.AppendBytes(cbor.AppendBytes(b, nil), []byte("MQTT1")))
	}
	aead, err := hkdf.Key(sha256.New, k.symmetric(w), kidContext, info(k.Alg, uint64(8*cose.Algorithm(k.Alg).KeySize())), cose.Algorithm(k.Alg).KeySize())
	w.must(err)
	base, err = hkdf.Key(sha256.New, k.symmetric(w), kidContext, info(34, 96), 12)
	w.must(err)
	return aead, base
}

// addModeS: hand-made mode S messages, each wrong in one way.
func addModeS(w *world) {
	s := w.key("s", keyring.UseS, cose.AlgA128GCM, "wire")
	less := w.key("s-clockless", keyring.UseS, cose.AlgA128GCM, "wire", clockless)
	salt := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	context := func(sid []byte, boot byte) []byte { return append(append(bytes.Clone(sid), 0, 0, 0, boot), salt...) }
	build := func(k key, ctx, sender, piv []byte, protected func(alg, kid item) []byte, unprotected func(piv, ctx item) []byte) []byte {
		aead, nonce := w.derive(k, ctx, sender)
		for i, b := range piv {
			nonce[12-len(piv)+i] ^= b
		}
		return w.rawEncrypt0(aead, nonce, protected(at(1, num(k.Alg)), at(4, str(k.KID...))), unprotected(at(6, str(piv...)), at(10, str(ctx...))),
			pubAAD(1, topicName, sender), reading)
	}
	plainP := func(alg, kid item) []byte { return bucket(alg, kid) }
	plainU := func(piv, ctx item) []byte { return bucket(piv, ctx) }
	ctx := context(wireID, 7)
	for _, c := range []struct {
		id, comment, expect string
		k                   key
		ctx, sender, piv    []byte
		p                   func(alg, kid item) []byte
		u                   func(piv, ctx item) []byte
	}{
		{"hand-made", "the base of the cases below", "ok", s, ctx, wireID, []byte{1}, plainP, plainU},
		{"piv-4", "largest Partial IV", "ok", s, ctx, wireID, []byte{255, 255, 255, 255}, plainP, plainU},
		{"boot-0-clockless", "boot 0 under a clockless record", "ok", less, context(wireID, 0), wireID, []byte{1}, plainP, plainU},
		{"boot-0", "boot 0 of a sender that must count", "policy", s, context(wireID, 0), wireID, []byte{1}, plainP, plainU},
		{"piv-leading-zero", "Partial IV with a leading zero byte, same nonce", "malformed", s, ctx, wireID, []byte{0, 1}, plainP, plainU},
		{"piv-0", "Partial IV 0", "malformed", s, ctx, wireID, []byte{0}, plainP, plainU},
		{"piv-empty", "Partial IV of 0 bytes", "malformed", s, ctx, wireID, []byte{}, plainP, plainU},
		{"piv-5", "Partial IV of 5 bytes", "malformed", s, ctx, wireID, []byte{1, 2, 3, 4, 5}, plainP, plainU},
		{"context-11", "kid context of 11 bytes", "malformed", s, ctx[3:], wireID, []byte{1}, plainP, plainU},
		{"context-77", "kid context of 77 bytes", "malformed", s, append(fill(65), ctx[2:]...), fill(65), []byte{1}, plainP, plainU},
		{"sid-missing", "kid context without sender id", "policy", s, ctx[2:], wireID, []byte{1}, plainP, plainU},
		{"sid-3", "sender id of another length", "policy", s, append([]byte{9}, ctx...), []byte{9, 0, 42}, []byte{1}, plainP, plainU},
		{"sender-null", "derived for an empty sender", "verify-failed", s, ctx, nil, []byte{1}, plainP, plainU},
		{"cti", "cti beside Partial IV", "malformed", s, ctx, wireID, []byte{1}, func(alg, kid item) []byte { return bucket(alg, kid, claims(orderedCTI(7, 1))) }, plainU},
		{"iv-too", "IV and Partial IV", "malformed", s, ctx, wireID, []byte{1}, plainP, func(piv, ctx item) []byte { return bucket(at(5, str(fixedIV...)), piv, ctx) }},
		{"context-missing", "Partial IV without kid context", "malformed", s, ctx, wireID, []byte{1}, plainP, func(piv, ctx item) []byte { return bucket(piv) }},
		{"iat", "iat in the claims", "ok", s, ctx, wireID, []byte{1}, func(alg, kid item) []byte { return bucket(alg, kid, claims(at(6, num(now)))) }, plainU},
	} {
		tc := testCase{Keys: []key{c.k}, Message: build(c.k, c.ctx, c.sender, c.piv, c.p, c.u)}
		if c.expect == "ok" {
			tc.Result = result(1, wireID, nil)
		}
		w.add("s-"+c.id, "MQTT1 4", c.comment, c.expect, tc)
	}
	r := w.key("r-as-s", keyring.UseR, cose.AlgA128GCM, "wire")
	w.add("s-under-r-record", "MQTT1 2", "mode S under a record for mode R", "policy", testCase{Keys: []key{r}, Message: build(r, ctx, wireID, []byte{1}, plainP, plainU)})
}

// macOver makes a Mac0 whose tag is right for any headers.
func (w *world) macOver(k, protected, unprotected, aad, payload []byte, size int) []byte {
	m := cbor.AppendText(cbor.AppendArray(nil, 4), "MAC0")
	m = cbor.AppendBytes(cbor.AppendBytes(cbor.AppendBytes(m, protected), aad), payload)
	h := hmac.New(sha256.New, k)
	h.Write(m)
	b := cbor.AppendBytes(cbor.AppendArray(cbor.AppendTag(nil, 17), 4), protected)
	b = cbor.AppendBytes(append(b, unprotected...), payload)
	return cbor.AppendBytes(b, h.Sum(nil)[:size])
}

// signOver makes a Sign1 whose signature is right for any headers.
func (w *world) signOver(k key, protected, unprotected, aad, payload []byte) []byte {
	m := cbor.AppendText(cbor.AppendArray(nil, 4), "Signature1")
	m = cbor.AppendBytes(cbor.AppendBytes(cbor.AppendBytes(m, protected), aad), payload)
	material, _, err := cose.ParseKey(k.Key)
	w.must(err)
	sig, err := material.Sign(cose.Algorithm(k.Alg), m)
	w.must(err)
	b := cbor.AppendBytes(cbor.AppendArray(cbor.AppendTag(nil, 18), 4), protected)
	b = cbor.AppendBytes(append(b, unprotected...), payload)
	return cbor.AppendBytes(b, sig)
}

// addSource: hand-made Mac0 and Sign1.
func addSource(w *world) {
	mac := w.key("mac", keyring.UseMAC, cose.AlgHMAC256, "wire")
	ed := w.key("eddsa", keyring.UseSign, cose.AlgEdDSA, "fixed")
	es := w.key("es256", keyring.UseSign, cose.AlgES256, "fixed")
	cti := orderedCTI(7, 1)
	fresh := cti.value[1:]
	k, sid := mac.symmetric(w), at(10, str(wireID...))
	aad := srcAAD(1, topicName, wireID, fresh, nil)
	p := bucket(at(1, num(5)), at(4, str(mac.KID...)), claims(cti))
	need := &require{Integrity: "group"}
	for _, c := range []struct {
		id, comment, expect string
		msg                 []byte
	}{
		{"tag-16", "tag cut to 16 bytes", "malformed", w.macOver(k, p, bucket(sid), aad, reading, 16)},
		{"no-claims", "no claims", "malformed", w.macOver(k, bucket(at(1, num(5)), at(4, str(mac.KID...))), bucket(sid), aad, reading, 32)},
		{"iv", "an IV on a MAC", "malformed", w.macOver(k, p, bucket(at(5, str(fixedIV...)), sid), aad, reading, 32)},
		{"alg-4", "HMAC 256/64", "malformed", w.macOver(k, bucket(at(1, num(4)), at(4, str(mac.KID...)), claims(cti)), bucket(sid), aad, reading, 32)},
		{"six-elements", "AAD without aud", "verify-failed", w.macOver(k, p, bucket(sid), append([]byte{0x86}, aad[1:len(aad)-1]...), reading, 32)},
		{"pub-aad", "AAD of an encryption", "verify-failed", w.macOver(k, p, bucket(sid), pubAAD(1, topicName, wireID), reading, 32)},
		{"other-fresh", "AAD with another sequence", "verify-failed", w.macOver(k, p, bucket(sid), srcAAD(1, topicName, wireID, flip(fresh, -1), nil), reading, 32)},
		{"aud", "AAD with an audience", "verify-failed", w.macOver(k, p, bucket(sid), srcAAD(1, topicName, wireID, fresh, fill(32)), reading, 32)},
	} {
		w.add("mac-"+c.id, "MQTT1 3", c.comment, c.expect, testCase{Keys: []key{mac}, Message: c.msg, Require: need})
	}
	w.add("mac-empty-payload", "MQTT1 1", "an empty payload is a tombstone", "ok", testCase{
		Keys:    []key{mac},
		Message: w.macOver(k, p, bucket(sid), aad, nil, 32), Require: need, Result: &resultOut{Payload: []byte{}, Kind: 1, Sender: wireID},
	})
	sp := bucket(at(1, num(-8)), at(4, str(ed.KID...)), claims(cti))
	for _, c := range []struct {
		id, comment, expect string
		msg                 []byte
	}{
		{"unprotected", "a sender id on a signature", "malformed", w.signOver(ed, sp, bucket(sid), aad, reading)},
		{"kid-7", "public kid of 7 bytes", "malformed", w.signOver(ed, bucket(at(1, num(-8)), at(4, str(ed.KID[:7]...)), claims(cti)), bucket(), aad, reading)},
		{"no-cti", "no cti", "malformed", w.signOver(ed, bucket(at(1, num(-8)), at(4, str(ed.KID...))), bucket(), srcAAD(1, topicName, wireID, nil, nil), reading)},
		{"alg-es256", "the record says EdDSA", "policy", w.signOver(ed, bucket(at(1, num(-7)), at(4, str(ed.KID...)), claims(cti)), bucket(), aad, reading)},
		{"alg-ed25519", "the fully specified number -19", "malformed", w.signOver(ed, bucket(at(1, num(-19)), at(4, str(ed.KID...)), claims(cti)), bucket(), aad, reading)},
		{"empty-sender", "AAD with an empty sender", "verify-failed", w.signOver(ed, sp, bucket(), srcAAD(1, topicName, nil, fresh, nil), reading)},
	} {
		w.add("sign-"+c.id, "MQTT1 3", c.comment, c.expect, testCase{Keys: []key{ed.public(w)}, Message: c.msg, Require: need})
	}
	w.add("sign-unknown", "MQTT1 2", "signer is not in the store", "unknown-key", testCase{Keys: []key{es.public(w)}, Message: w.signOver(ed, sp, bucket(), aad, reading), Require: need})
	w.add("sign-not-confidential", "MQTT1 9", "a signature hides nothing", "policy", testCase{Keys: []key{ed.public(w)}, Message: w.signOver(ed, sp, bucket(), aad, reading)})
	office := w.key("eddsa", keyring.UseSign, cose.AlgEdDSA, "fixed", func(k *key) { k.Topics = []string{"office/#"} })
	w.add("sign-topic", "MQTT1 2", "the record is for other topics", "policy", testCase{Keys: []key{office.public(w)}, Message: w.signOver(ed, sp, bucket(), aad, reading), Require: need})
}

// addRecipients: changes of COSE_Encrypt messages.
func addRecipients(w *world) {
	e1 := w.key("enc-1", keyring.UseEnc, cose.AlgECDHESA128KW, "anonymous")
	e2 := w.key("enc-2", keyring.UseEnc, cose.AlgECDHESA128KW, "anonymous")
	ec := w.key("enc-client", keyring.UseEnc, cose.AlgECDHESA128KW, "client-id")
	rec := func(k key) *keyring.Record { p := k.public(w); return p.record(w.t) }
	one := w.seal(w.sealer("recipients-1", protect.SealerConfig{Recipients: []*keyring.Record{rec(e1)}}), protect.Message{})
	two := w.seal(w.sealer("recipients-2", protect.SealerConfig{Recipients: []*keyring.Record{rec(e1), rec(e2)}}), protect.Message{})
	client := w.seal(w.sealer("recipients-c", protect.SealerConfig{Recipients: []*keyring.Record{rec(ec)}, ClientID: "dev-42", Session: w.session(7, "c")}), protect.Message{})
	add := func(id, comment, expect string, c testCase) {
		if c.Keys == nil {
			c.Keys = []key{e1}
		}
		w.add("to-"+id, "MQTT1 4", comment, expect, c)
	}
	// The only recipient starts after the head of the recipients array.
	start := bytes.LastIndex(one, []byte{0x81, 0x83, 0x44, 0xa1, 0x01, 0x38, 0x1c})
	recipient := one[start+1:]
	with := func(head byte, recs ...[]byte) []byte {
		return append(append(bytes.Clone(one[:start]), head), bytes.Join(recs, nil)...)
	}
	add("nobody", "no recipient", "malformed", testCase{Message: with(0x80)})
	add("17", "seventeen recipients", "malformed", testCase{Message: with(0x91, bytes.Repeat(recipient, 17))})
	add("same-twice-short", "two recipients with short kids", "malformed", testCase{Message: with(0x82, recipient, recipient)})
	start2 := bytes.LastIndex(two, []byte{0x82, 0x83, 0x44, 0xa1, 0x01, 0x38, 0x1c})
	first := two[start2+1 : start2+1+(len(two)-start2-1)/2]
	add("same-twice", "one recipient twice", "malformed", testCase{Message: append(append(bytes.Clone(two[:start2+1]), first...), first...)})
	add("alg-31", "A256KW with A128GCM", "malformed", testCase{Message: with(0x81, append([]byte{0x83, 0x44, 0xa1, 0x01, 0x38, 0x1e}, recipient[6:]...))})
	add("alg-25", "direct key agreement", "malformed", testCase{Message: with(0x81, append([]byte{0x83, 0x44, 0xa1, 0x01, 0x38, 0x18}, recipient[6:]...))})
	add("layers", "a recipient of a recipient", "malformed", testCase{Message: with(0x81, append(append([]byte{0x84}, recipient[1:]...), 0x80))})
	add("wrapped-key", "wrapped key changed", "verify-failed", testCase{Message: flip(one, -1)})
	x := bytes.Index(recipient, []byte{0x21, 0x58, 0x20}) + 3
	y := bytes.Index(recipient, []byte{0x22, 0x58, 0x20}) + 3
	add("off-curve", "ephemeral key off the curve", "verify-failed", testCase{Message: with(0x81, flip(recipient, y))})
	add("x-changed", "another x, off the curve", "verify-failed", testCase{Message: with(0x81, flip(recipient, x))})
	sign := byte(0xf4)
	if recipient[y+31]&1 == 1 {
		sign = 0xf5
	}
	compressed := append(append(bytes.Clone(recipient[:y-2]), sign), recipient[y+32:]...)
	add("compressed-y", "y as its sign bit", "ok", testCase{Message: with(0x81, compressed), Result: result(1, nil, nil)})
	x31 := append(append(append(bytes.Clone(recipient[:x-1]), 31), recipient[x:x+31]...), recipient[x+32:]...)
	add("x-31", "x of 31 bytes", "malformed", testCase{Message: with(0x81, x31)})
	add("nobody-known", "sealed to others", "unknown-key", testCase{Message: two, Keys: []key{ec}})
	add("no-source", "an unsigned encryption names no source", "policy", testCase{Message: one, Require: &require{Integrity: "group"}})
	add("client-without-tls", "anyone can encrypt to the broker", "policy", testCase{Message: client, Keys: []key{ec}, Client: "dev-42"})
	add("client-other", "another connection's message", "verify-failed", testCase{Message: client, Keys: []key{ec}, Client: "dev-43", TLS: true})
	add("client-none", "no Client Identifier known", "policy", testCase{Message: client, Keys: []key{ec}, TLS: true})
	add("old", "unordered and older than 300 s", "policy", testCase{Message: one, Now: now + 301})
	add("swap-recipients", "order of recipients does not matter", "ok", testCase{
		Message: append(append(bytes.Clone(two[:start2+1]), two[start2+1+len(first):]...), first...), Result: result(1, nil, nil),
	})
}

// addNested: what may go wrong between two layers. The outer layer is right.
func addNested(w *world) {
	r := w.key("r", keyring.UseR, cose.AlgA128GCM, "wire")
	ed := w.key("eddsa", keyring.UseSign, cose.AlgEdDSA, "fixed")
	other := w.key("eddsa-other", keyring.UseSign, cose.AlgEdDSA, "fixed", id(0, 43))
	r9 := w.key("r-redistribution", keyring.UseR, cose.AlgA128GCM, "redistribution")
	cti := orderedCTI(7, 1)
	fresh := cti.value[1:]
	material, _, err := cose.ParseKey(r.Key)
	w.must(err)
	tp := material.Thumbprint()
	outer := func(plain []byte, extra ...item) []byte {
		p := append([]item{at(1, num(1)), at(3, num(18)), at(4, str(r.KID...))}, claims(append(extra, cti)...))
		return w.rawEncrypt0(r.symmetric(w), fixedIV, bucket(p...), bucket(at(5, str(fixedIV...)), at(10, str(wireID...))), pubAAD(1, topicName, wireID), plain)
	}
	aad := srcAAD(1, topicName, wireID, fresh, tp[:])
	inner := func(k key, extra ...item) []byte {
		return bucket(append([]item{at(1, num(-8)), at(4, str(k.KID...))}, extra...)...)
	}
	good := w.signOver(ed, inner(ed), bucket(), aad, reading)
	keys := []key{r, ed.public(w), other.public(w)}
	add := func(id, comment, expect string, msg []byte) {
		c := testCase{Keys: keys, Message: msg}
		if expect == "ok" {
			c.Result = result(1, wireID, ed.KID)
		}
		w.add("inner-"+id, "MQTT1 4", comment, expect, c)
	}
	add("hand-made", "the base of the cases below", "ok", outer(good))
	add("iat-inside", "iat under the signature", "ok", outer(w.signOver(ed, inner(ed, claims(at(6, num(now)))), bucket(), aad, reading)))
	add("expired-inside", "exp under the signature", "policy", outer(w.signOver(ed, inner(ed, claims(at(4, num(now)))), bucket(), aad, reading)))
	add("iat-outside", "iat outside the signature", "malformed", outer(good, at(6, num(now))))
	add("exp-outside", "exp outside the signature", "malformed", outer(good, at(4, num(now+9))))
	add("cti-inside", "a sequence in both layers", "malformed", outer(w.signOver(ed, inner(ed, claims(cti)), bucket(), aad, reading)))
	add("kind-inside", "kind label in the inner layer", "malformed", outer(w.signOver(ed, inner(ed, at(-65537, num(2))), bucket(), aad, reading)))
	add("untagged", "inner layer without tag", "malformed", outer(good[1:]))
	add("self-described", "tag 55799 inside", "malformed", outer(append([]byte{0xd9, 0xd9, 0xf7}, good...)))
	add("trailing", "bytes after the inner layer", "malformed", outer(append(bytes.Clone(good), 0)))
	add("not-a-signature", "marker without Sign1", "malformed", outer(reading))
	add("aud-null", "inner AAD of a signature that stands alone", "verify-failed", outer(w.signOver(ed, inner(ed), bucket(), srcAAD(1, topicName, wireID, fresh, nil), reading)))
	add("aud-other", "signed for another key", "verify-failed", outer(w.signOver(ed, inner(ed), bucket(), srcAAD(1, topicName, wireID, fresh, fill(32)), reading)))
	add("fresh-other", "signed for another sequence", "verify-failed", outer(w.signOver(ed, inner(ed), bucket(), srcAAD(1, topicName, wireID, flip(fresh, -1), tp[:]), reading)))
	add("signer-not-sender", "a member signs as another", "policy", outer(w.signOver(other, inner(other), bucket(), srcAAD(1, topicName, []byte{0, 43}, fresh, tp[:]), reading)))
	stranger := w.key("eddsa-stranger", keyring.UseSign, cose.AlgEdDSA, "fixed")
	add("signer-unknown", "signer is not in the store", "unknown-key", outer(w.signOver(stranger, inner(stranger), bucket(), aad, reading)))
	noMarker := w.rawEncrypt0(r.symmetric(w), fixedIV, bucket(at(1, num(1)), at(4, str(r.KID...)), claims(cti)),
		bucket(at(5, str(fixedIV...)), at(10, str(wireID...))), pubAAD(1, topicName, wireID), good)
	w.add("inner-no-marker", "MQTT1 4", "without the marker the plaintext is never parsed", "ok",
		testCase{Keys: keys, Message: noMarker, Result: &resultOut{Payload: good, Kind: 1, Sender: wireID}})
	m9, _, err := cose.ParseKey(r9.Key)
	w.must(err)
	tp9 := m9.Thumbprint()
	sealed9 := w.rawEncrypt0(r9.symmetric(w), fixedIV, bucket(at(1, num(1)), at(3, num(18)), at(4, str(r9.KID...)), claims(cti)),
		bucket(at(5, str(fixedIV...)), at(10, str(wireID...))), pubAAD(9, topicName, wireID),
		w.signOver(ed, inner(ed), bucket(), srcAAD(9, topicName, wireID, fresh, tp9[:]), reading))
	w.add("inner-kind-9-not-a-broker", "MQTT1 3", "redistributed and signed by a device", "policy", testCase{Keys: []key{r9, ed.public(w)}, Message: sealed9})
	labelled := w.rawEncrypt0(r9.symmetric(w), fixedIV, bucket(at(1, num(1)), at(4, str(r9.KID...)), claims(cti), at(-65537, num(2))),
		bucket(at(5, str(fixedIV...)), at(10, str(wireID...))), pubAAD(9, topicName, wireID), reading)
	w.add("kind-9-with-label", "MQTT1 3", "a redistributed message is no will", "policy", testCase{Keys: []key{r9}, Message: labelled})
}

// addCredentials: P1, P2, P3.
func addCredentials(w *world) {
	name := "dev-42"
	conn := func() *connect { return &connect{Level: 5, Client: "dev-42", Username: &name, Server: "broker-a"} }
	for _, c := range []struct {
		id  string
		k   key
		pwd string
	}{
		{"p1", w.key("p1", keyring.UseP1, cose.AlgECDHESA128KW, "anonymous"), "correct horse"},
		{"p1-256", w.key("p1-256", keyring.UseP1, cose.AlgECDHESA256KW, "anonymous"), ""},
		{"p2", w.key("p2", keyring.UseP2, cose.AlgHMAC256, "anonymous"), ""},
		{"p3-es256", w.key("p3-es", keyring.UseP3, cose.AlgES256, "fixed"), ""},
		{"p3-eddsa", w.key("p3-ed", keyring.UseP3, cose.AlgEdDSA, "fixed"), ""},
	} {
		token := func(k key, cfg func(*protect.CredentialConfig), cn *connect) []byte {
			cc := protect.CredentialConfig{Record: k.record(w.t), Number: 1 << 33, Clock: clock, Random: &stream{seed: c.id}, Password: keyring.NewSecret([]byte(c.pwd))}
			if cfg != nil {
				cfg(&cc)
			}
			out, err := protect.SealCredential(cc, cn.connect())
			w.must(err)
			return out
		}
		good := token(c.k, nil, conn())
		add := func(id, comment, expect string, k key, cn *connect, msg []byte) {
			tc := testCase{Type: "credential", Keys: []key{k}, Connect: cn, Message: msg}
			if expect == "ok" {
				tc.Result = &resultOut{Password: []byte(c.pwd)}
			}
			w.add(c.id+"-"+id, "MQTT1 7", comment, expect, tc)
		}
		add("ok", "the form itself", "ok", c.k, conn(), good)
		for _, change := range []struct {
			id string
			f  func(*connect)
		}{
			{"level", func(c *connect) { c.Level = 4 }},
			{"client-id", func(c *connect) { c.Client = "dev-43" }},
			{"username-null", func(c *connect) { c.Username = nil }},
			{"username-empty", func(c *connect) { e := ""; c.Username = &e }},
			{"server", func(c *connect) { c.Server = "broker-b" }},
		} {
			cn := conn()
			change.f(cn)
			add(change.id, "bound and changed: "+change.id, "verify-failed", c.k, cn, good)
		}
		empty := conn()
		empty.Client = ""
		add("client-id-empty", "empty Client Identifier", "policy", c.k, empty, good)
		add("last-byte", "last byte changed", "verify-failed", c.k, conn(), flip(good, -1))
		add("self-described", "tag 55799 is not for credentials", "malformed", c.k, conn(), append([]byte{0xd9, 0xd9, 0xf7}, good...))
		add("trailing", "bytes after it", "malformed", c.k, conn(), append(bytes.Clone(good), 0))
		late := func(d time.Duration) func(*protect.CredentialConfig) {
			return func(cc *protect.CredentialConfig) { cc.Clock = func() time.Time { return clock().Add(d) } }
		}
		add("iat-120", "iat 120 s away", "ok", c.k, conn(), token(c.k, late(120*time.Second), conn()))
		add("iat-121", "iat 121 s ago", "policy", c.k, conn(), token(c.k, late(-121*time.Second), conn()))
		loose := c.k
		loose.Clockless = true
		timeless := token(loose, func(cc *protect.CredentialConfig) { cc.Clock = nil }, conn())
		add("clockless", "no iat, clockless record", "ok", loose, conn(), timeless)
		add("iat-missing", "no iat", "policy", c.k, conn(), timeless)
		bound := c.k
		bound.Binding = true
		cn := conn()
		cn.CB = fill(32)
		covers := token(bound, nil, cn)
		add("cb", "covers the CONNECT bytes", "ok", bound, cn, covers)
		add("cb-record-says-null", "the record says null", "verify-failed", c.k, cn, covers)
		changed := conn()
		changed.CB = flip(fill(32), 0)
		add("cb-changed", "CONNECT changed", "verify-failed", bound, changed, covers)
		stranger := w.key(c.id+"-stranger", useByName[c.k.Use], cose.Algorithm(c.k.Alg), c.k.Rule)
		add("unknown-kid", "nobody holds this kid", "unknown-key", stranger, conn(), good)
	}
	p2 := w.key("p2", keyring.UseP2, cose.AlgHMAC256, "anonymous")
	raw := w.macOver(p2.symmetric(w), bucket(at(1, num(5)), at(4, str(p2.KID...)), claims(at(6, num(now)), at(7, str(fill(8)...)))), bucket(), fill(3), fill(16), 32)
	w.add("p2-raw-key", "MQTT1 7", "MAC under the pre-shared key itself", "verify-failed", testCase{Type: "credential", Keys: []key{p2}, Connect: conn(), Message: raw})
	for id, size := range map[string]int{"empty": 0, "15": 15} {
		short := w.macOver(p2.symmetric(w), bucket(at(1, num(5)), at(4, str(p2.KID...)), claims(at(6, num(now)), at(7, str(fill(8)...)))), bucket(), fill(3), fill(size), 32)
		w.add("p2-nonce-"+id, "MQTT1 7", "rnd-c is not 16 bytes", "malformed", testCase{Type: "credential", Keys: []key{p2}, Connect: conn(), Message: short})
	}
}

// addChecksums: both forms, told by the topic policy only.
func addChecksums(w *world) {
	out := &resultOut{Payload: reading}
	prefix, raw := protect.AppendChecksum(nil, protect.ChecksumPrefix, reading), protect.AppendChecksum(nil, protect.ChecksumRaw, reading)
	need := &require{Integrity: "checksum"}
	for _, c := range []struct {
		id, form, expect string
		msg              []byte
		req              *require
	}{
		{"prefix", "prefix", "ok", prefix, need},
		{"raw", "raw", "ok", raw, need},
		{"prefix-damaged", "prefix", "verify-failed", flip(prefix, -1), need},
		{"raw-damaged", "raw", "verify-failed", flip(raw, 3), need},
		{"raw-as-prefix", "prefix", "verify-failed", raw, need},
		{"prefix-as-raw", "raw", "verify-failed", prefix, need},
		{"short", "raw", "verify-failed", raw[:31], need},
		{"not-a-mac", "prefix", "policy", prefix, &require{Integrity: "group"}},
	} {
		tc := testCase{Type: "checksum", Form: c.form, Message: c.msg, Require: c.req}
		if c.expect == "ok" {
			tc.Result = out
		}
		w.add("checksum-"+c.id, "MQTT1 8", "checksum form "+c.form, c.expect, tc)
	}
}

// addSequences: several messages to one receiver.
func addSequences(w *world) {
	s := w.key("s", keyring.UseS, cose.AlgA128GCM, "wire")
	sealer := func(boot uint32, seed string) *protect.Sealer {
		return w.sealer(seed, protect.SealerConfig{Key: s.record(w.t), Sender: wireID, Session: w.session(boot, seed)})
	}
	take := func(sl *protect.Sealer, n int, will bool) (out []hexed) {
		for range n {
			out = append(out, w.seal(sl, protect.Message{Will: will}))
		}
		return out
	}
	a, b, c := sealer(1, "a"), sealer(2, "b"), sealer(1, "c")
	m, next, clone := take(a, 70, false), take(b, 2, false), take(c, 3, false)
	will := take(b, 2, true)
	ru := w.key("r-unordered", keyring.UseR, cose.AlgA128GCM, "wire", unordered)
	un := take(w.sealer("u", protect.SealerConfig{Key: ru.record(w.t), Sender: wireID}), 1, false)
	for _, q := range []struct {
		id    string
		k     key
		steps []seqStep
	}{
		{"window", s, []seqStep{
			{m[0], false, "deliver"},
			{m[0], false, "duplicate"},
			{m[2], false, "deliver"},
			{m[1], false, "deliver"},
			{m[1], false, "duplicate"},
			{m[69], false, "deliver"},
			{m[5], false, "policy"},
			{m[6], false, "deliver"},
			{m[6], false, "duplicate"},
		}},
		{"new-session", s, []seqStep{{m[3], false, "deliver"}, {next[0], false, "deliver"}, {m[4], false, "policy"}, {next[1], false, "deliver"}, {next[0], false, "duplicate"}}},
		{"clone", s, []seqStep{{m[0], false, "deliver"}, {clone[1], false, "policy"}, {m[1], false, "deliver"}}},
		{"retained", s, []seqStep{{m[4], true, "deliver"}, {m[4], true, "same-state"}, {m[3], true, "policy"}, {m[5], false, "deliver"}, {m[5], true, "same-state"}, {next[0], true, "deliver"}, {m[9], true, "policy"}}},
		{"will", s, []seqStep{{will[0], false, "deliver"}, {will[0], false, "duplicate"}, {will[0], true, "same-state"}, {will[1], false, "deliver"}, {will[0], false, "policy"}, {m[0], false, "policy"}, {next[0], false, "deliver"}}},
		{"failure-leaves-no-trace", s, []seqStep{{flip(m[9], -1), false, "verify-failed"}, {m[0], false, "deliver"}, {flip(m[0], -1), false, "verify-failed"}, {m[9], false, "deliver"}}},
		{"unordered", ru, []seqStep{{un[0], false, "deliver"}, {un[0], false, "duplicate"}, {un[0], true, "same-state"}}},
	} {
		w.add("sequence-"+q.id, "MQTT1 5", "several messages to one receiver", "ok", testCase{Type: "sequence", Keys: []key{q.k}, Steps: q.steps})
	}
}
