"""A second implementation of the profile MQTT1: makes messages of every form for sealmq, and opens what sealmq makes.

    mqtt1.py make            prints {"keys": [...], "cases": [...]}: keys as arguments of "sealmq keys import", messages to inspect
    mqtt1.py open KEYS       reads {"cases": [{key, topic, message, ...}]} from standard input and opens each

It shares no code with the Go program: the reader is vectors/run.py, the writer is below, written from docs/spec/mqtt1.md.
"""
import base64, hashlib, hmac, json, os, pathlib, sys, time
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "vectors"))
import run  # noqa: E402

write, hkdf = run.write, run.hkdf
NOW = int(time.time())
TOPIC = "plant/ü/1"
PAYLOAD = b"made in Python"


# --- keys: what a provisioning would carry -------------------------------------------------------------------------------
class Key:
    """A record of section 2, with its secret, and the arguments that give sealmq the same one."""

    def __init__(self, name, use, alg, sender="wire", sid=b"", size=0, content=0, material=None, kid=None, client="", **flags):
        self.name, self.use, self.alg, self.content, self.rule, self.sid, self.size = name, use, alg, content, sender, sid, size
        self.client, self.flags = client, flags
        if alg in (1, 3, 5):
            length = material or {1: 16, 3: 32, 5: 32}[alg]
            self.k = os.urandom(length)
            self.cose, base = {1: 4, -1: self.k}, {1: 4, -1: self.k}
            self.kid = kid or os.urandom(3) + b"\0\1"
        elif alg == -8:
            self.private = ed25519.Ed25519PrivateKey.generate()
            seed, x = self.private.private_bytes_raw(), self.private.public_key().public_bytes_raw()
            self.cose, base = {1: 1, -1: 6, -2: x, -4: seed}, {1: 1, -1: 6, -2: x}
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            n = self.private.public_key().public_numbers()
            x, y = n.x.to_bytes(32, "big"), n.y.to_bytes(32, "big")
            d = self.private.private_numbers().private_value.to_bytes(32, "big")
            self.cose, base = {1: 2, -1: 1, -2: x, -3: y, -4: d}, {1: 2, -1: 1, -2: x, -3: y}
        self.thumb = hashlib.sha256(write(base)).digest()
        if alg not in (1, 3, 5):
            self.kid = self.thumb[:kid or 8]
            if use in ("sign", "p3") and sender == "fixed" and not sid:
                self.sid = self.kid

    def file(self, private):
        c = dict(self.cose)
        c[2], c[3] = self.kid, self.alg
        if self.use == "p2":
            del c[3]
        if not private:
            c.pop(-4, None)
        return write(c)

    def args(self):
        """Flags of "sealmq keys import"."""
        out = ["--name", self.name, "--type", {"R": "encrypt", "S": "encrypt", "enc": "recipient"}.get(self.use, self.use)]
        out += ["--mode", "S"] if self.use == "S" else []
        out += ["--kid", self.kid.hex()]
        if self.use in ("p1", "p2", "p3"):
            pass
        else:
            out += ["--topics", "plant/#"]
            out += ["--sender", {"wire": "wire:%d" % self.size, "fixed": "fixed:0x" + self.sid.hex()}.get(self.rule, self.rule)]
        names = {"unordered": "allow-unordered", "clockless": "allow-clockless", "pairwise": "pairwise", "broker": "signer-is-broker", "cb": "bind-connect"}
        out += ["--" + names[f] for f in self.flags if f in names]
        out += ["--max-age", str(self.flags["max_age"])] if "max_age" in self.flags else []
        return out + (["--client-id", self.client] if self.client else [])

    def record(self):
        """The same for vectors/run.py."""
        return {"kid": self.kid.hex(), "key": write(self.cose).hex(), "use": self.use, "alg": self.alg, "content_alg": self.content,
             "sender_rule": self.rule, "sender_id": self.sid.hex(), "sender_size": self.size, "client_id": self.client, "topics": ["plant/#"],
                **self.flags}


def sign(key, message):
    if key.alg == -8:
        return key.private.sign(message)
    r, s = utils.decode_dss_signature(key.private.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


# --- the writer ------------------------------------------------------------------------------------------------------------
def unsorted(m, last):
    """A map with one key moved to the front: readers accept any order."""
    keys = [last] + [k for k in sorted(m, key=write) if k != last]
    return bytes([0xa0 | len(m)]) + b"".join(write(k) + write(m[k]) for k in keys)


def tagged(n, items):
    return (bytes([0xc0 | n]) if n < 24 else bytes([0xd8, n])) + bytes([0x80 | len(items)]) + b"".join(items)


class Message:
    """One message; everything that a case may want to be different is a field."""

    def __init__(self, key, **o):
        self.key, self.topic, self.payload, self.kind, self.sender = key, TOPIC, PAYLOAD, 1, key.sid
        self.signer, self.to, self.exp, self.iat, self.content_type, self.client = None, [], None, NOW, None, ""
        self.boot, self.seq, self.ordered, self.salt, self.piv, self.aud = 1, 1, True, os.urandom(8), None, True
        self.claims_in, self.claims_out, self.protected, self.unprotected = {}, {}, {}, {}
        self.order_p = self.order_u = None
        self.y, self.prefix, self.inner_prefix, self.kids, self.aad = "full", b"", b"", None, None
        self.__dict__.update(o)
        self.kids = self.kids or ([k.kid for k in self.to] if len(self.to) < 2 else [k.thumb for k in self.to])
        if key.rule == "anonymous" and key.use != "sign" and not (self.to and self.signer):
            self.ordered = False  # of a signed COSE_Encrypt the signer owns the sequence
        if key.rule == "client-id":
            self.sender = self.client.encode()
        if key.rule == "redistribution":
            self.kind = 9
        if self.to and key.rule != "client-id":
            self.sender = b""

    def make(self):
        key, wire = self.key, self.sender if self.key.rule in ("wire", "redistribution") else b""
        cti = self.boot.to_bytes(4, "big") + self.seq.to_bytes(4, "big") if self.ordered else os.urandom(16)
        times = {**({6: self.iat} if self.iat is not None else {}), **({4: self.exp} if self.exp else {})}
        claims = {7: cti} if self.signer else {**times, 7: cti}
        if key.use == "S":
            del claims[7]
        claims.update(self.claims_out)
        p = {1: key.content if self.to else key.alg, **({} if self.to else {4: key.kid}), **({15: claims} if claims else {})}
        if self.content_type is not None and not self.signer:
            p[3] = self.content_type
        if self.signer:
            p[3] = 18
        if self.kind == 2:
            p[-65537] = 2
        p.update(self.protected)
        raw = unsorted(p, self.order_p) if self.order_p is not None else write(p)
        nonce, fresh, aead, u = os.urandom(12), cti, None, {}
        if key.use == "S":
            piv = self.piv if self.piv is not None else self.seq.to_bytes(4, "big").lstrip(b"\0")
            context = wire + self.boot.to_bytes(4, "big") + self.salt
            u, fresh = {6: piv, 10: context}, context + piv
            aead, nonce = self.derive(context, piv)
        elif key.use != "sign":
            u = {5: nonce} if key.use in ("R", "enc") else {}
            u.update({10: wire} if wire else {})
            aead = key.k if key.use == "R" else None
        u.update(self.unprotected)
        self.raw, self.fresh = raw, fresh
        uraw = unsorted(u, self.order_u) if self.order_u is not None else write(u)
        plain = self.inner(times) if self.signer else self.payload
        if key.use in ("R", "S"):
            return self.prefix + tagged(16, [write(raw), uraw, write(self.seal(aead, nonce, "Encrypt0", plain))])
        if self.to:
            cek = os.urandom(16 if key.content == 1 else 32)
            recipients = [self.recipient(k, kid, cek) for k, kid in zip(self.to, self.kids)]
            body = [write(raw), uraw, write(self.seal(cek, nonce, "Encrypt", plain)), bytes([0x80 | len(recipients)]) + b"".join(recipients)]
            return self.prefix + tagged(96, body)
        aad = self.aad or write(["MQTT1", 10, self.kind, self.topic, self.sender, fresh, None])
        if key.use == "mac":
            tag = hmac.digest(key.k, write(["MAC0", raw, aad, plain]), "sha256")
            return self.prefix + tagged(17, [write(raw), uraw, write(plain), write(tag)])
        return self.prefix + tagged(18, [write(raw), uraw, write(plain), write(sign(key, write(["Signature1", raw, aad, plain])))])

    def derive(self, context, piv):
        def info(a, n):
            return write([a, [self.sender, None, None], [self.key.kid, None, None], [n, b"", b"MQTT1"]])
        length = len(self.key.k)
        base = hkdf(self.key.k, context, info(34, 96), 12)
        return hkdf(self.key.k, context, info(self.key.alg, 8 * length), length), bytes(a ^ b for a, b in zip(base, piv.rjust(12, b"\0")))

    def seal(self, key, nonce, context, plain):
        aad = self.aad or write(["MQTT1", self.kind, self.topic, self.sender])
        return AESGCM(key).encrypt(nonce, plain, write([context, self.raw, aad]))

    def inner(self, times):
        s = self.signer
        p = {1: s.alg, 4: s.kid, **({15: {**times, **self.claims_in}} if times or self.claims_in else {})}
        if self.content_type is not None:
            p[3] = self.content_type
        raw = write(p)
        aud = self.key.thumb
        if len(self.to) > 1:
            aud = hashlib.sha256(write(sorted(k.thumb for k in self.to))).digest()
        aad = write(["MQTT1", 10, self.kind, self.topic, self.sender if self.kind == 9 else s.sid, self.fresh, aud if self.aud else None])
        return self.inner_prefix + tagged(18, [write(raw), write({}), write(self.payload), write(sign(s, write(["Signature1", raw, aad, self.payload])))])

    def recipient(self, to, kid, cek):
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        n = ephemeral.public_key().public_numbers()
        protected = write({1: to.alg})
        secret = ephemeral.exchange(ec.ECDH(), to.private.public_key())
        bits, kw = (128, -3) if to.alg == -29 else (256, -5)
        kek = hkdf(secret, b"", write([kw, [None] * 3, [None] * 3, [bits, protected]]), bits // 8)
        x, y = write(n.x.to_bytes(32, "big")), write(n.y.to_bytes(32, "big"))
        if self.y == "sign":
            y = b"\xf5" if n.y & 1 else b"\xf4"
        point = b"\xa4" + write(1) + write(2) + write(-1) + write(1) + write(-2) + x + write(-3) + y
        header = b"\xa2" + write(4) + write(kid) + write(-1) + point
        return tagged(24, [write(protected), header, write(aes_key_wrap(kek, cek))])[2:]


def credential(key, password=b"pencil", level=5, client="dev-1", user="dev-1", server="plant", iat=NOW, cti=1, content=None, **o):
    """P1, P2 or P3 of section 7."""
    c = {**({6: iat} if iat is not None else {}), 7: cti.to_bytes(8, "big")}
    aad = write(["MQTT1", 3, level, client, user, server, None])
    if key.use == "p1":
        m = Message(key, to=[key], **o)
        m.raw, m.aad, nonce, cek = write({1: key.content, 15: c}), aad, os.urandom(12), os.urandom(16 if key.content == 1 else 32)
        plain = content if content is not None else write({1: password, 3: bytes(-(len(write({1: password})) + 2) % 16)})
        return tagged(96, [write(m.raw), write({5: nonce}), write(m.seal(cek, nonce, "Encrypt", plain)), b"\x81" + m.recipient(key, key.kid, cek)])
    raw, nonce = write({1: key.alg, 4: key.kid, 15: c}), os.urandom(16)
    if key.use == "p2":
        mac = hkdf(key.k, b"", write(["MQTT1", "p2-mac", key.kid]), 32)
        return tagged(17, [write(raw), write({}), write(nonce), write(hmac.digest(mac, write(["MAC0", raw, aad, nonce]), "sha256"))])
    return tagged(18, [write(raw), write({}), write(nonce), write(sign(key, write(["Signature1", raw, aad, nonce])))])


# --- cases -----------------------------------------------------------------------------------------------------------------
def records():
    signer = dict(sender="fixed")
    return [
        Key("r", "R", 1, size=2, sid=b"\0\x2a"), Key("r256", "R", 3, size=64, sid=b"s" * 64), Key("r-short", "R", 1, size=1, sid=b"x", kid=b"\0\1"),
        Key("r-long", "R", 1, size=8, sid=b"sender-1", kid=b"k" * 30 + b"\0\1"), Key("r-fixed", "R", 1, "fixed", b"\0\x2a"),
        Key("r-any", "R", 1, "anonymous"), Key("r-free", "R", 1, size=2, sid=b"\0\x2a", unordered=True), Key("r-client", "R", 1, "client-id"),
        Key("r-down", "R", 1, "redistribution", b"origin"), Key("r-age", "R", 1, size=2, sid=b"\0\x2a", max_age=3600),
        Key("s", "S", 1, size=2, sid=b"\0\x2a"), Key("s256", "S", 3, size=2, sid=b"\0\x2a"), Key("s-fixed", "S", 1, "fixed", b"fix"),
        Key("s-client", "S", 1, "client-id"), Key("s-down", "S", 1, "redistribution", b"origin"), Key("s-less", "S", 1, size=2, sid=b"\0\x2a", clockless=True),
        Key("mac", "mac", 5, size=2, sid=b"\0\x2a"), Key("mac-fixed", "mac", 5, "fixed", b"fix", pairwise=True), Key("mac-any", "mac", 5, "anonymous"),
        Key("ed", "sign", -8, **signer), Key("es", "sign", -7, **signer), Key("ed-any", "sign", -8, "anonymous"), Key("ed32", "sign", -8, kid=32, **signer),
        Key("ed-2a", "sign", -8, "fixed", b"\0\x2a"), Key("ed-fix", "sign", -7, "fixed", b"fix"), Key("ed-free", "sign", -8, unordered=True, **signer),
        Key("broker", "sign", -8, broker=True, **signer), Key("ed-client", "sign", -8, client="dev-1", **signer),
        Key("to", "enc", -29, "anonymous", content=1), Key("to2", "enc", -29, "anonymous", content=1), Key("to256", "enc", -31, "anonymous", content=3), Key("up", "enc", -29, "client-id", content=1),
        Key("p1", "p1", -29, "client-id", content=1), Key("p1-256", "p1", -31, "client-id", content=3), Key("p2", "p2", 5, "client-id"),
        Key("p2-16", "p2", 5, "client-id", material=16), Key("p2-less", "p2", 5, "client-id", clockless=True), Key("p3", "p3", -8, "anonymous"),
        Key("p3-es", "p3", -7, "anonymous"), Key("p3-mine", "p3", -8, "anonymous", client="dev-1"),
    ]


def cases(k):
    """(name, verifies, message, options): options are flags of "sealmq inspect" and what it must show."""
    other = [Key("x%d" % i, "enc", -29, "anonymous", content=1) for i in range(15)]
    good, bad = [], []

    def ok(name, message, **o):
        good.append((name, True, message.make() if type(message) is Message else message, o))

    def no(name, message, **o):
        bad.append((name, False, message.make() if type(message) is Message else message, o))

    def m(name, **o):
        return Message(k[name], **o)

    enc = dict(to=[k["to"]])
    for name in ("r", "r256", "r-short", "r-long", "r-fixed", "r-any", "r-down", "r-age", "s", "s256", "s-fixed", "s-down", "mac", "mac-fixed", "mac-any", "ed", "es", "ed-any", "ed32"):
        ok("plainest " + name, m(name))
    ok("known sender, unordered", m("r-free", ordered=False))
    ok("client to broker, R", m("r-client", client="dev-1"), client="dev-1")
    ok("client to broker, S", m("s-client", client="dev-ü"), client="dev-ü")
    ok("boot 0 of a clockless sender", m("s-less", boot=0))
    ok("no times", m("r", iat=None))
    ok("exp and iat", m("r", exp=NOW + 3000))
    ok("iat 290 s ahead", m("r", iat=NOW + 290))
    ok("content type", m("r", content_type=65535), content_type=65535)
    ok("content type 18 on a signature", m("ed", content_type=18), content_type=18)
    ok("will, R", m("r", kind=2))
    ok("will, S", m("s", kind=2))
    ok("will, signed inside", m("s-fixed", kind=2, signer=k["ed-fix"]))
    ok("tombstone", m("r", payload=b""), payload=b"")
    ok("tombstone, signed", m("ed", payload=b""), payload=b"")
    ok("self-described", m("s", prefix=b"\xd9\xd9\xf7"))
    ok("self-described Encrypt", m("to", prefix=b"\xd9\xd9\xf7", **enc))
    ok("protected map unsorted", m("r", order_p=4))
    ok("claims before alg", m("mac", order_p=15))
    ok("unprotected map unsorted", m("r", order_u=10))
    ok("unprotected map of S unsorted", m("s", order_u=10))
    ok("redistributed without origin", m("r-down", sender=b""))
    ok("redistributed in S without origin", m("s-down", sender=b""))
    ok("redistributed, 64 bytes of origin", m("s-down", sender=b"o" * 64))
    ok("redistributed and signed", m("s-down", signer=k["broker"]), signer=k["broker"].kid)
    ok("redistributed in R and signed", m("r-down", signer=k["broker"]), signer=k["broker"].kid)
    for n in (1, 2, 3, 4):
        ok("Partial IV of %d bytes" % n, m("s", seq=256 ** (n - 1)))
    ok("largest sequence", m("s", seq=2 ** 32 - 1, boot=2 ** 32 - 1))
    ok("largest cti", m("r", seq=2 ** 32 - 1, boot=2 ** 32 - 1))
    ok("to one", m("to", **enc))
    ok("to one, 256", m("to256", to=[k["to256"]]))
    ok("sign bit of y", m("to", y="sign", **enc))
    ok("to two", m("to", to=[other[0], k["to"]]))
    ok("to sixteen", m("to", to=other + [k["to"]]))
    ok("R, signed", m("r", signer=k["ed-2a"]), signer=k["ed-2a"].kid)
    ok("S, signed", m("s", signer=k["ed-2a"], exp=NOW + 3000, content_type=42), signer=k["ed-2a"].kid, content_type=42)
    ok("anonymous R, signed", m("r-any", signer=k["ed"]), signer=k["ed"].kid)
    ok("to one, signed", m("to", signer=k["es"], **enc), signer=k["es"].kid)
    ok("to one, signed, unordered", m("to", signer=k["ed-free"], ordered=False, **enc), signer=k["ed-free"].kid)
    ok("to three, signed", m("to", signer=k["ed"], to=[other[1], k["to"], other[0]]), signer=k["ed"].kid)
    ok("client to broker, sealed, under TLS", m("up", client="dev-1", to=[k["up"]]), client="dev-1", tls=True)
    ok("client to broker, signed", m("up", client="dev-1", to=[k["up"]], signer=k["ed"]), client="dev-1")
    ok("client to broker, signed by its key", m("up", client="dev-1", to=[k["up"]], signer=k["ed-client"]), client="dev-1")
    ok("retained under max-age", m("r-age"), retain=True)
    ok("retained will under max-age, old", m("r-age", kind=2, iat=NOW - 4000), retain=True)

    no("other topic", m("r", topic="plant/2"))
    no("other sender in the AAD", m("r-fixed", sender=b"\0\x2b"))
    no("other client", m("r-client", client="dev-2"), client="dev-1")
    no("client unknown", m("r-client", client="dev-1"))
    no("will without its label", m("r", kind=2, protected={}, aad=write(["MQTT1", 1, TOPIC, b"\0\x2a"])))
    no("label with another value", m("r", protected={-65537: 1}))
    no("label on a redistributed message", m("r-down", protected={-65537: 2}))
    no("redistributed as kind 1", m("r-down", aad=write(["MQTT1", 1, TOPIC, b"origin"])))
    no("expired", m("r", exp=NOW - 1))
    no("iat an hour ahead", m("r", iat=NOW + 3600))
    no("unordered, old", m("r-free", ordered=False, iat=NOW - 400))
    no("unordered without iat", m("r-free", ordered=False, iat=None))
    no("unordered, not allowed", m("r", ordered=False))
    no("unordered will", m("r-free", ordered=False, kind=2))
    no("ordered anonymous", m("r-any", claims_out={7: b"\0\0\0\1\0\0\0\1"}))
    no("retained under max-age without time", m("r-age", iat=None), retain=True)
    no("retained under max-age, old", m("r-age", iat=NOW - 4000), retain=True)
    no("boot 0", m("s", boot=0))
    no("boot 0 in a cti", m("r", boot=0))
    no("sequence 0 in a cti", m("r", seq=0))
    no("cti of 7 bytes", m("r", claims_out={7: b"1234567"}))
    no("cti in S", m("s", claims_out={7: b"\0\0\0\1\0\0\0\1"}))
    no("no cti", m("ed", protected={15: {6: NOW}}))
    no("empty claims", m("s", protected={15: {}}))
    no("claim 5", m("r", claims_out={5: NOW}))
    no("Partial IV with a leading zero", m("s", piv=b"\0\1"))
    no("IV and Partial IV", m("s", unprotected={5: bytes(12)}))
    no("sender id on a fixed record", m("r-fixed", unprotected={10: b"\0\x2a"}))
    no("sender id of three bytes", m("r", sender=b"\0\0\x2a"))
    no("kid in both buckets", m("r", unprotected={4: k["r"].kid}))
    no("crit", m("r", protected={2: [1]}))
    no("other algorithm of the record", m("r", protected={1: 3}))
    no("A128CTR", m("r", protected={1: -65534}))
    no("text content type", m("r", protected={3: "text/plain"}))
    no("twice self-described", m("s", prefix=b"\xd9\xd9\xf7" * 2))
    no("inner layer self-described", m("r", signer=k["ed-2a"], inner_prefix=b"\xd9\xd9\xf7"))
    no("iat outside the signature", m("r", signer=k["ed-2a"], claims_out={6: NOW}))
    no("exp outside the signature", m("to", signer=k["ed"], claims_out={4: NOW + 3000}, **enc))
    no("cti inside", m("r", signer=k["ed-2a"], claims_in={7: b"\0\0\0\1\0\0\0\1"}))
    no("signature for nobody in particular", m("r", signer=k["ed-2a"], aud=False))
    no("marked as signed, and is not", m("r", content_type=18))
    no("signer is another sender", m("r", signer=k["ed"]))
    no("signed redistribution by no broker", m("s-down", signer=k["ed"]))
    no("signer of another client", m("up", client="dev-2", to=[k["up"]], signer=k["ed-client"]), client="dev-2")
    no("sealed to the broker without TLS", m("up", client="dev-1", to=[k["up"]]), client="dev-1")
    no("to two, named by short kids", m("to", to=[other[0], k["to"]], kids=[other[0].kid, k["to"].kid]))
    no("to one twice", m("to", to=[k["to"], k["to"]]))
    no("to others only", m("to", to=[other[0], other[1]]))
    no("ordered and unsigned to a public key", m("to", claims_out={7: b"\0\0\0\1\0\0\0\1"}, **enc))
    no("signature in the sealed form's AAD", m("ed", aad=write(["MQTT1", 1, TOPIC, k["ed"].sid])))
    no("MAC with six elements in the AAD", m("mac", aad=write(["MQTT1", 10, 1, TOPIC, b"\0\x2a", b"\0\0\0\1\0\0\0\1"])))

    conn = dict(client="dev-1", user="dev-1", server="plant", level=5)

    def login(name, fine, key, sent=None, **o):
        b = credential(k[key], **o)
        (good if fine else bad).append((name, fine, b, {"connect": {**conn, **{x: o[x] for x in ("client", "user", "server", "level") if x in o}, **(sent or {})}}))

    for key in ("p1", "p1-256", "p2", "p2-16", "p3", "p3-es", "p3-mine"):
        for level in (3, 4, 5):
            login("%s, level %d" % (key, level), True, key, level=level)
        login(key + ", no user name", True, key, user=None)
        login(key + ", empty user name", True, key, user="")
        login(key + ", other client", False, key, sent={"client": "dev-2"})
        login(key + ", other user", False, key, sent={"user": "root"})
        login(key + ", empty for no user name", False, key, user=None, sent={"user": ""})
        login(key + ", other server", False, key, sent={"server": "plant2"})
        login(key + ", other level", False, key, sent={"level": 4})
        login(key + ", old", False, key, iat=NOW - 200)
        login(key + ", from the future", False, key, iat=NOW + 2000)
        login(key + ", without iat", False, key, iat=None)
    login("clockless without iat", True, "p2-less", iat=None)
    login("P1 without padding", True, "p1", content=write({1: b"pencil"}))
    login("P1 with the reserved value", True, "p1", content=write({1: b"pencil", 2: bytes(32), 3: b"\1\2"}))
    login("P1 with a short reserved value", False, "p1", content=write({1: b"pencil", 2: bytes(31)}))
    login("P1 without a password", False, "p1", content=write({3: bytes(16)}))
    login("P1 with key 4", False, "p1", content=write({1: b"pencil", 4: b""}))
    bad.append(("self-described credential", False, b"\xd9\xd9\xf7" + credential(k["p3"]), {"connect": conn}))
    # Credentials are the first to be too old.
    return sorted(good + bad, key=lambda c: "connect" not in c[3])


def make():
    keys = {r.name: r for r in records()}
    out = []
    for name, fine, b, o in cases(keys):
        c = {"name": name, "verifies": fine, "message": b.hex(), "topic": TOPIC, "payload": o.get("payload", PAYLOAD).hex()}
        c.update({x: (v.hex() if type(v) is bytes else v) for x, v in o.items() if x != "payload"})
        out.append(c)
    private = ("to", "to2", "to256", "up", "p1", "p1-256")
    listed = [{"args": r.args(), "receiver": r.file(r.name in private).hex(), "sender": r.file(r.name not in private).hex(), "record": r.record()} for r in keys.values()]
    print(json.dumps({"keys": listed, "cases": out}))


def open_all():
    """Opens what sealmq has made with keys that it has exported."""
    j, results = json.load(sys.stdin), []
    records = [run.Record(r) for r in j["keys"]]
    for c in j["cases"]:
        try:
            if "connect" in c:
                got = run.open_credential({"now": int(time.time()), "connect": c["connect"]}, records, bytes.fromhex(c["message"]))["password"]
            else:
                case = {"topic": c["topic"], "now": int(time.time()), "client_id": c.get("client", ""), "tls": c.get("tls", False)}
                got = run.open_message(case, records, bytes.fromhex(c["message"]), c.get("retain", False), {})[1]["payload"]
            results.append(got.hex())
        except run.Refused as r:
            results.append("refused: %s" % r)
    print(json.dumps(results))


if __name__ == "__main__":
    {"make": make, "open": open_all}[sys.argv[1]]()
