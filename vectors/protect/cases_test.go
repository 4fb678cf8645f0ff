package protect_test

import (
	"bytes"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

func unordered(k *key)          { k.Unordered = true }
func clockless(k *key)          { k.Clockless = true }
func isBroker(k *key)           { k.Broker = true }
func maxAge(s int64) func(*key) { return func(k *key) { k.MaxAge = s } }
func id(b ...byte) func(*key)   { return func(k *key) { k.ID = b } }

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[(at+len(b))%len(b)] ^= 1
	return b
}

func result(kind int, sender, signer []byte) *resultOut {
	return &resultOut{Payload: reading, Kind: kind, Sender: sender, Signer: signer}
}

// addForms: every form once, with what its external_aad binds.
func addForms(w *world) {
	r := w.key("r", keyring.UseR, cose.AlgA128GCM, "wire")
	r256 := w.key("r256", keyring.UseR, cose.AlgA256GCM, "fixed")
	ru := w.key("r-unordered", keyring.UseR, cose.AlgA128GCM, "wire", unordered)
	ra := w.key("r-anonymous", keyring.UseR, cose.AlgA128GCM, "anonymous")
	rc := w.key("r-client", keyring.UseR, cose.AlgA128GCM, "client-id")
	s := w.key("s", keyring.UseS, cose.AlgA128GCM, "wire")
	s9 := w.key("s-redistribution", keyring.UseS, cose.AlgA256GCM, "redistribution")
	mac := w.key("mac", keyring.UseMAC, cose.AlgHMAC256, "wire")
	es := w.key("es256", keyring.UseSign, cose.AlgES256, "fixed")
	ed := w.key("eddsa", keyring.UseSign, cose.AlgEdDSA, "fixed")
	broker := w.key("broker", keyring.UseSign, cose.AlgES256, "fixed", isBroker)
	e1 := w.key("enc-1", keyring.UseEnc, cose.AlgECDHESA128KW, "anonymous")
	e2 := w.key("enc-2", keyring.UseEnc, cose.AlgECDHESA128KW, "anonymous")
	e256 := w.key("enc-256", keyring.UseEnc, cose.AlgECDHESA256KW, "anonymous")
	ec := w.key("enc-client", keyring.UseEnc, cose.AlgECDHESA128KW, "client-id")
	group, source := &require{Integrity: "group"}, &require{Integrity: "source"}
	client := []byte("dev-42")
	type form struct {
		id      string
		keys    []key // what the receiver holds
		cfg     protect.SealerConfig
		m       protect.Message
		c       testCase
		kind    int
		sender  []byte
		signer  []byte
		require *require
		boot    uint32 // 0: unordered
	}
	rec := func(k key) *keyring.Record { return k.record(w.t) }
	recs := func(ks ...key) (out []*keyring.Record) {
		for _, k := range ks {
			out = append(out, rec(k.public(w)))
		}
		return out
	}
	for _, f := range []form{
		{"mode-r", []key{r}, protect.SealerConfig{Key: rec(r), Sender: wireID}, protect.Message{}, testCase{}, 1, wireID, nil, group, 7},
		{
			"mode-r-content-type-exp-iat",
			[]key{r},
			protect.SealerConfig{Key: rec(r), Sender: wireID, Timestamp: true},
			protect.Message{HasContentType: true, ContentType: 50, Expires: clock().Add(time.Minute)},
			testCase{},
			1, wireID, nil, group, 7,
		},
		{"mode-r-256-fixed", []key{r256}, protect.SealerConfig{Key: rec(r256)}, protect.Message{}, testCase{}, 1, wireID, nil, group, 7},
		{"mode-r-unordered", []key{ru}, protect.SealerConfig{Key: rec(ru), Sender: wireID}, protect.Message{}, testCase{}, 1, wireID, nil, group, 0},
		{"mode-r-anonymous", []key{ra}, protect.SealerConfig{Key: rec(ra)}, protect.Message{}, testCase{}, 1, nil, nil, group, 0},
		{"mode-r-client-id", []key{rc}, protect.SealerConfig{Key: rec(rc), ClientID: "dev-42"}, protect.Message{}, testCase{Client: "dev-42"}, 1, client, nil, group, 7},
		{"mode-r-will", []key{r}, protect.SealerConfig{Key: rec(r), Sender: wireID}, protect.Message{Will: true}, testCase{}, 2, wireID, nil, group, 7},
		{"mode-s", []key{s}, protect.SealerConfig{Key: rec(s), Sender: wireID}, protect.Message{}, testCase{}, 1, wireID, nil, group, 7},
		{"mode-s-will", []key{s}, protect.SealerConfig{Key: rec(s), Sender: wireID}, protect.Message{Will: true}, testCase{}, 2, wireID, nil, group, 7},
		{"mode-s-redistribution", []key{s9}, protect.SealerConfig{Key: rec(s9)}, protect.Message{Origin: client}, testCase{}, 9, client, nil, group, 3},
		{"mode-s-redistribution-unknown-origin", []key{s9}, protect.SealerConfig{Key: rec(s9)}, protect.Message{}, testCase{}, 9, nil, nil, group, 3},
		{"mac0", []key{mac}, protect.SealerConfig{Key: rec(mac), Sender: wireID}, protect.Message{}, testCase{}, 1, wireID, nil, group, 7},
		{"sign1-es256", []key{es.public(w)}, protect.SealerConfig{Key: rec(es)}, protect.Message{}, testCase{}, 1, wireID, es.KID, source, 7},
		{"sign1-eddsa", []key{ed.public(w)}, protect.SealerConfig{Key: rec(ed)}, protect.Message{}, testCase{}, 1, wireID, ed.KID, source, 7},
		{"sign1-will", []key{ed.public(w)}, protect.SealerConfig{Key: rec(ed)}, protect.Message{Will: true}, testCase{}, 2, wireID, ed.KID, source, 7},
		{
			"nested-r",
			[]key{r, ed.public(w)},
			protect.SealerConfig{Key: rec(r), Signer: rec(ed), Sender: wireID, Timestamp: true},
			protect.Message{HasContentType: true, ContentType: 50},
			testCase{},
			1, wireID, ed.KID, source, 7,
		},
		{"nested-s", []key{s, es.public(w)}, protect.SealerConfig{Key: rec(s), Signer: rec(es), Sender: wireID}, protect.Message{}, testCase{}, 1, wireID, es.KID, source, 7},
		{"nested-redistribution", []key{s9, broker.public(w)}, protect.SealerConfig{Key: rec(s9), Signer: rec(broker)}, protect.Message{Origin: client}, testCase{}, 9, client, broker.KID, source, 3},
		{"encrypt-one", []key{e1}, protect.SealerConfig{Recipients: recs(e1)}, protect.Message{}, testCase{}, 1, nil, nil, &require{Confidential: true}, 0},
		{"encrypt-256", []key{e256}, protect.SealerConfig{Recipients: recs(e256)}, protect.Message{}, testCase{}, 1, nil, nil, &require{Confidential: true}, 0},
		{"encrypt-two-second-is-mine", []key{e2}, protect.SealerConfig{Recipients: recs(e1, e2)}, protect.Message{}, testCase{}, 1, nil, nil, &require{Confidential: true}, 0},
		{"encrypt-client-tls", []key{ec}, protect.SealerConfig{Recipients: recs(ec), ClientID: "dev-42"}, protect.Message{}, testCase{Client: "dev-42", TLS: true}, 1, client, nil, &require{Confidential: true}, 7},
		{"nested-encrypt-one", []key{e1, ed.public(w)}, protect.SealerConfig{Recipients: recs(e1), Signer: rec(ed)}, protect.Message{}, testCase{}, 1, wireID, ed.KID, source, 7},
		{"nested-encrypt-two", []key{e2, ed.public(w)}, protect.SealerConfig{Recipients: recs(e1, e2), Signer: rec(ed)}, protect.Message{}, testCase{}, 1, wireID, ed.KID, source, 7},
		{"nested-encrypt-client", []key{ec, es.public(w)}, protect.SealerConfig{Recipients: recs(ec), Signer: rec(es), ClientID: "dev-42"}, protect.Message{}, testCase{Client: "dev-42"}, 1, wireID, es.KID, source, 7},
	} {
		if f.boot != 0 {
			f.cfg.Session = w.session(f.boot, f.id)
		}
		msg := w.seal(w.sealer(f.id, f.cfg), f.m)
		f.c.Keys, f.c.Message, f.c.Require = f.keys, msg, f.require
		c := f.c
		c.Result = result(f.kind, f.sender, f.signer)
		w.add(f.id, "MQTT1 4", "the form itself", "ok", c)
		for name, change := range map[string]struct {
			expect string
			f      func(*testCase)
		}{
			"other-topic": {"verify-failed", func(c *testCase) { c.Topic = "plant/7/valve" }},
			"last-byte":   {"verify-failed", func(c *testCase) { c.Message = flip(c.Message, -1) }},
			"trailing":    {"malformed", func(c *testCase) { c.Message = append(bytes.Clone(c.Message), 0) }},
		} {
			if name == "last-byte" && len(f.cfg.Recipients) > 1 && len(f.keys) > 0 && !bytes.Equal(f.keys[0].KID, e2.KID) {
				continue
			}
			c := f.c
			change.f(&c)
			w.add(f.id+"-"+name, "MQTT1 3", "wrong in one way: "+name, change.expect, c)
		}
	}
}

// addModeR: hand-made mode R messages; each is wrong in exactly one way and
// encrypted correctly.
func addModeR(w *world) {
	r := w.key("r", keyring.UseR, cose.AlgA128GCM, "wire")
	k := r.symmetric(w)
	alg, kid, cti := at(1, num(1)), at(4, str(r.KID...)), claims(orderedCTI(7, 1))
	iv, sid := at(5, str(fixedIV...)), at(10, str(wireID...))
	aad := pubAAD(1, topicName, wireID)
	make := func(protected, unprotected []byte) []byte {
		return w.rawEncrypt0(k, fixedIV, protected, unprotected, aad, reading)
	}
	good := make(bucket(alg, kid, cti), bucket(iv, sid))
	add := func(id, comment, expect string, msg []byte) {
		w.add("r-"+id, "MQTT1 1", comment, expect, testCase{Keys: []key{r}, Message: msg, Result: nil})
	}
	ok := func(id, comment string, msg []byte) {
		w.add("r-"+id, "MQTT1 1", comment, "ok", testCase{Keys: []key{r}, Message: msg, Result: result(1, wireID, nil)})
	}
	ok("hand-made", "the base of the cases below", good)
	ok("map-order", "readers accept map keys in any order", make(bucket(cti, kid, alg), bucket(sid, iv)))
	ok("self-described", "one tag 55799 before the outermost tag", append([]byte{0xd9, 0xd9, 0xf7}, good...))
	add("self-described-twice", "two tags 55799", "policy", append([]byte{0xd9, 0xd9, 0xf7, 0xd9, 0xd9, 0xf7}, good...))
	add("untagged", "the outer tag is mandatory; without one it is plaintext, which the policy refuses", "policy", good[1:])
	add("tag-of-mac0", "tag 17 on three elements", "malformed", append([]byte{0xd1}, good[1:]...))
	add("truncated", "one byte short", "malformed", good[:len(good)-1])
	for _, c := range []struct {
		id, comment            string
		protected, unprotected []byte
	}{
		{"crit", "crit", bucket(alg, at(2, []byte{0x81, 0x04}), kid, cti), bucket(iv, sid)},
		{"unknown-protected", "label 99 protected", bucket(alg, kid, cti, at(99, num(0))), bucket(iv, sid)},
		{"unknown-unprotected", "label 99 unprotected", bucket(alg, kid, cti), bucket(iv, sid, at(99, num(0)))},
		{"kid-unprotected", "kid in the other bucket", bucket(alg, cti), bucket(at(4, str(r.KID...)), iv, sid)},
		{"alg-twice", "alg in both buckets", bucket(alg, kid, cti), bucket(alg, iv, sid)},
		{"alg-missing", "no alg", bucket(kid, cti), bucket(iv, sid)},
		{"label-twice", "kid twice", bucket(alg, kid, kid, cti), bucket(iv, sid)},
		{"alg-a192gcm", "A192GCM", bucket(at(1, num(2)), kid, cti), bucket(iv, sid)},
		{"alg-a128ctr", "A128CTR does not authenticate", bucket(at(1, num(-65534)), kid, cti), bucket(iv, sid)},
		{"alg-a128cbc", "A128CBC does not authenticate", bucket(at(1, num(-65531)), kid, cti), bucket(iv, sid)},
		{"kid-empty", "kid of 0 bytes", bucket(alg, at(4, str()), cti), bucket(iv, sid)},
		{"kid-33", "kid of 33 bytes", bucket(alg, at(4, str(fill(33)...)), cti), bucket(iv, sid)},
		{"content-type-text", "content type as text", bucket(alg, at(3, []byte{0x61, 'a'}), kid, cti), bucket(iv, sid)},
		{"content-type-65536", "content type above 65535", bucket(alg, at(3, num(65536)), kid, cti), bucket(iv, sid)},
		{"claims-empty", "empty claims", bucket(alg, kid, claims()), bucket(iv, sid)},
		{"claims-missing", "no cti at all", bucket(alg, kid), bucket(iv, sid)},
		{"claims-iss", "claim 1", bucket(alg, kid, claims(at(1, num(1)), orderedCTI(7, 1))), bucket(iv, sid)},
		{"iat-negative", "negative iat", bucket(alg, kid, claims(at(6, num(-1)), orderedCTI(7, 1))), bucket(iv, sid)},
		{"iat-2-53", "iat of 2^53", bucket(alg, kid, claims(at(6, num(1<<53)), orderedCTI(7, 1))), bucket(iv, sid)},
		{"iat-tagged", "iat with tag 1", bucket(alg, kid, claims(at(6, []byte{0xc1, 0x00}), orderedCTI(7, 1))), bucket(iv, sid)},
		{"iat-float", "iat as a float", bucket(alg, kid, claims(at(6, []byte{0xf9, 0, 0}), orderedCTI(7, 1))), bucket(iv, sid)},
		{"cti-9", "cti of 9 bytes", bucket(alg, kid, claims(at(7, str(fill(9)...)))), bucket(iv, sid)},
		{"cti-boot-0", "boot 0 in a cti", bucket(alg, kid, claims(orderedCTI(0, 1))), bucket(iv, sid)},
		{"cti-seq-0", "sequence 0", bucket(alg, kid, claims(orderedCTI(1, 0))), bucket(iv, sid)},
		{"kind-1", "label -65537 with value 1", bucket(alg, kid, cti, at(-65537, num(1))), bucket(iv, sid)},
		{"kind-unprotected", "label -65537 unprotected", bucket(alg, kid, cti), bucket(iv, sid, at(-65537, num(2)))},
		{"iv-missing", "no IV", bucket(alg, kid, cti), bucket(sid)},
		{"iv-11", "IV of 11 bytes", bucket(alg, kid, cti), bucket(at(5, str(fill(11)...)), sid)},
		{"sid-65", "sender id of 65 bytes", bucket(alg, kid, cti), bucket(iv, at(10, str(fill(65)...)))},
		{"sid-0", "sender id of 0 bytes", bucket(alg, kid, cti), bucket(iv, at(10, str()))},
		{"protected-not-a-map", "protected bytes hold an array", []byte{0x80}, bucket(iv, sid)},
		{"protected-trailing", "bytes after the protected map", append(bucket(alg, kid, cti), 0), bucket(iv, sid)},
		{"protected-indefinite", "indefinite protected map", append(append([]byte{0xbf}, bucket(alg, kid, cti)[1:]...), 0xff), bucket(iv, sid)},
		{"long-head", "alg in two bytes", bucket(item{num(1), []byte{0x18, 0x01}}, kid, cti), bucket(iv, sid)},
	} {
		add(c.id, c.comment, "malformed", make(c.protected, c.unprotected))
	}
	add("nil-ciphertext", "detached content", "malformed", append(append([]byte{0xd0, 0x83}, str(bucket(alg, kid, cti)...)...), append(bucket(iv, sid), 0xf6)...))
	add("alg-a256gcm", "the record says A128GCM", "policy", make(bucket(at(1, num(3)), kid, cti), bucket(iv, sid)))
	add("unknown-kid", "nobody holds this kid", "unknown-key", make(bucket(alg, at(4, str(1, 2, 3)), cti), bucket(iv, sid)))
	add("sid-missing", "the record wants a sender id", "policy", make(bucket(alg, kid, cti), bucket(iv)))
	add("sid-3", "sender id of another length", "policy", make(bucket(alg, kid, cti), bucket(iv, at(10, str(1, 2, 3)))))
	add("sid-changed", "another sender than the one in the AAD", "verify-failed", make(bucket(alg, kid, cti), bucket(iv, at(10, str(0, 43)))))
	add("unordered-not-allowed", "16-byte cti under a record without unordered", "policy",
		make(bucket(alg, kid, claims(at(6, num(now)), at(7, str(fill(16)...)))), bucket(iv, sid)))
	add("kind-in-aad-2", "a will without its label", "verify-failed",
		w.rawEncrypt0(k, fixedIV, bucket(alg, kid, cti), bucket(iv, sid), pubAAD(2, topicName, wireID), reading))
	add("kind-label-on-publish", "a publish dressed as a will", "verify-failed", make(bucket(alg, kid, cti, at(-65537, num(2))), bucket(iv, sid)))
	add("aad-10", "the structure number of src-aad in pub-aad", "verify-failed",
		w.rawEncrypt0(k, fixedIV, bucket(alg, kid, cti), bucket(iv, sid), srcAAD(1, topicName, wireID, nil, nil), reading))
	expired := func(at_ int64) []byte {
		return make(bucket(alg, kid, claims(at(4, num(at_)), orderedCTI(7, 1))), bucket(iv, sid))
	}
	add("expired", "now equals exp", "policy", expired(now))
	ok("expires-next", "exp is one second ahead", expired(now+1))
	issued := func(at_ int64) []byte {
		return make(bucket(alg, kid, claims(at(6, num(at_)), orderedCTI(7, 1))), bucket(iv, sid))
	}
	ok("iat-300-ahead", "iat 300 s in the future", issued(now+300))
	add("iat-301-ahead", "iat 301 s in the future", "policy", issued(now+301))
	fixed := w.key("r256", keyring.UseR, cose.AlgA256GCM, "fixed")
	w.add("r-fixed-with-sid", "MQTT1 3", "a fixed sender has nothing on the wire", "policy", testCase{Keys: []key{fixed}, Message: w.rawEncrypt0(
		fixed.symmetric(w), fixedIV, bucket(at(1, num(3)), at(4, str(fixed.KID...)), cti), bucket(iv, sid), aad, reading)})
	anon := w.key("r-anonymous", keyring.UseR, cose.AlgA128GCM, "anonymous")
	w.add("r-anonymous-ordered", "MQTT1 2", "an unknown sender has no order", "policy", testCase{Keys: []key{anon}, Message: w.rawEncrypt0(
		anon.symmetric(w), fixedIV, bucket(alg, at(4, str(anon.KID...)), cti), bucket(iv), pubAAD(1, topicName, nil), reading)})
	aged := w.key("r-aged", keyring.UseR, cose.AlgA128GCM, "wire", maxAge(60))
	for id, age := range map[string]int64{"within": 60, "beyond": 61} {
		expect := "ok"
		if age > 60 {
			expect = "policy"
		}
		c := testCase{Keys: []key{aged}, Retain: true, Message: w.rawEncrypt0(aged.symmetric(w), fixedIV,
			bucket(alg, at(4, str(aged.KID...)), claims(at(6, num(now-age)), orderedCTI(7, 1))), bucket(iv, sid), aad, reading)}
		if expect == "ok" {
			c.Result = result(1, wireID, nil)
		}
		w.add("r-retained-"+id+"-max-age", "MQTT1 5", "retained, record with max-age 60", expect, c)
	}
	w.add("r-retained-without-time", "MQTT1 5", "retained, record with max-age, neither exp nor iat", "policy", testCase{
		Keys: []key{aged}, Retain: true,
		Message: w.rawEncrypt0(aged.symmetric(w), fixedIV, bucket(alg, at(4, str(aged.KID...)), cti), bucket(iv, sid), aad, reading),
	})
	w.add("r-not-end-to-end", "MQTT1 9", "the topic requires end-to-end", "policy", testCase{Keys: []key{r}, Message: good, Require: &require{EndToEnd: true}})
	w.add("r-group-is-not-source", "MQTT1 9", "a shared key names no source", "policy", testCase{Keys: []key{r}, Message: good, Require: &require{Integrity: "source"}})
	pair := w.key("r", keyring.UseR, cose.AlgA128GCM, "wire", func(k *key) { k.Pairwise, k.E2E = true, true })
	w.add("r-pairwise-is-source", "MQTT1 9", "a pairwise key does, and it is end-to-end", "ok",
		testCase{Keys: []key{pair}, Message: good, Require: &require{Integrity: "source", EndToEnd: true}, Result: result(1, wireID, nil)})
	w.add("r-fresh-first", "MQTT1 5", "first message of a sender without a time, policy fresh", "policy", testCase{Keys: []key{r}, Message: good, Require: &require{Fresh: true}})
	w.add("r-plain", "MQTT1 9", "plaintext where encryption is required", "policy", testCase{Keys: []key{r}, Message: reading})
}
