#!/usr/bin/env python3
"""Runs the vectors of the profile MQTT1 without any of the Go code.

Usage: run.py [folder]; needs Python 3.9 and the package `cryptography`.
Written from docs/spec/mqtt1.md; README.md describes the files.
"""
import hashlib, hmac, json, pathlib, sys
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap


class Refused(Exception):
    """Carries the expect word."""


def need(ok, word="malformed"):
    if not ok:
        raise Refused(word)


# --- CBOR: strict reader (RFC 8949), deterministic writer ---------------------
class Tag:
    def __init__(self, n, item):
        self.n, self.item = n, item


def read(b, at=0, depth=0):
    need(at < len(b) and depth <= 8)
    major, info = b[at] >> 5, b[at] & 31
    at += 1
    if major == 7:
        need(info in (20, 21, 22))
        return {20: False, 21: True, 22: None}[info], at
    n = info
    if info > 23:
        need(info < 28)
        width = 1 << (info - 24)
        need(at + width <= len(b))
        n, at = int.from_bytes(b[at:at + width], "big"), at + width
        need(n >= 24 if width == 1 else n >> (4 * width))
    if major < 2:
        return (n if major == 0 else -1 - n), at
    if major < 4:
        need(at + n <= len(b))
        s = b[at:at + n]
        try:
            return (s if major == 2 else s.decode()), at + n
        except UnicodeDecodeError:
            raise Refused("malformed")
    if major == 6:
        item, at = read(b, at, depth + 1)
        return Tag(n, item), at
    need(n <= len(b))
    items = []
    for _ in range(n * (major - 3)):
        item, at = read(b, at, depth + 1)
        items.append(item)
    if major == 4:
        return items, at
    keys = items[::2]
    need(all(type(k) is int for k in keys) and len(set(keys)) == n)
    return dict(zip(keys, items[1::2])), at


def whole(b):
    item, at = read(b)
    need(at == len(b))
    return item


def write(v):
    def head(m, n):
        for i, w in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if n < 24:
                return bytes([m << 5 | n])
            if n < 1 << (8 * w):
                return bytes([m << 5 | i]) + n.to_bytes(w, "big")
    if v is None:
        return b"\xf6"
    if type(v) is int:
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if type(v) is bytes:
        return head(2, len(v)) + v
    if type(v) is str:
        return head(3, len(v.encode())) + v.encode()
    if type(v) is list:
        return head(4, len(v)) + b"".join(map(write, v))
    return head(5, len(v)) + b"".join(k + w for k, w in sorted((write(k), write(w)) for k, w in v.items()))


def hkdf(ikm, salt, info, n):
    return HKDF(hashes.SHA256(), n, salt or None, info).derive(ikm)


# --- keys ---------------------------------------------------------------------
class Record:
    def __init__(self, j):
        self.__dict__.update({"sender_id": "", "sender_size": 0, "max_age": 0, "client_id": "", "topics": [], "content_alg": 0})
        self.__dict__.update(j)
        for flag in ("unordered", "clockless", "e2e", "pairwise", "broker", "cb"):
            setattr(self, flag, j.get(flag, False))
        self.kid, self.sid, k = bytes.fromhex(j["kid"]), bytes.fromhex(self.sender_id), whole(bytes.fromhex(j["key"]))
        self.k = k.get(-1) if k[1] == 4 else k
        if k[1] == 4:
            base = {1: 4, -1: k[-1]}
        elif k[1] == 1:
            base = {1: 1, -1: 6, -2: k[-2]}
        else:
            base = {1: 2, -1: 1, -2: k[-2], -3: k[-3]}
        self.thumb = hashlib.sha256(write(base)).digest()

    def allows(self, topic):  # the vectors use "prefix/#" only
        return any((topic + "/").startswith(f[:-1]) for f in self.topics)


def verify(rec, alg, message, sig):
    try:
        if alg == -8:
            ed25519.Ed25519PublicKey.from_public_bytes(rec.k[-2]).verify(sig, message)
        else:
            rs = utils.encode_dss_signature(int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big"))
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + rec.k[-2] + rec.k[-3])
            point.verify(rs, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("verify-failed")


def decrypt(key, nonce, context, protected, aad, ciphertext):
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, write([context, protected, aad]))
    except (InvalidTag, ValueError):
        raise Refused("verify-failed")


def unwrap(rec, protected, header, wrapped):
    eph = header[-1]
    y = bytes([4]) + eph[-2] + eph[-3] if type(eph[-3]) is bytes else bytes([2 + eph[-3]]) + eph[-2]
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), y)
        secret = ec.derive_private_key(int.from_bytes(rec.k[-4], "big"), ec.SECP256R1()).exchange(ec.ECDH(), public)
        bits, kw = (128, -3) if rec.alg == -29 else (256, -5)
        kek = hkdf(secret, b"", write([kw, [None] * 3, [None] * 3, [bits, protected]]), bits // 8)
        return aes_key_unwrap(kek, wrapped)
    except (ValueError, InvalidUnwrap):
        raise Refused("verify-failed")


# --- shapes -------------------------------------------------------------------
LEN = {16: 3, 96: 4, 17: 4, 18: 4}


def is_bytes(v, low=0, high=1 << 30):
    return type(v) is bytes and low <= len(v) <= high


def claims_of(p):
    c = p.get(15, {})
    need(type(c) is dict and (15 not in p or c) and set(c) <= {4, 6, 7})
    need(all(type(c[k]) is int and 0 <= c[k] < 1 << 53 for k in (4, 6) if k in c))
    return c


def parts(message):
    """Tag, protected bytes, protected, unprotected and the rest of a message."""
    need(type(message) is Tag and message.n in LEN and type(message.item) is list and len(message.item) == LEN[message.n])
    raw, u, rest = message.item[0], message.item[1], message.item[2:]
    need(is_bytes(raw) and type(u) is dict and is_bytes(rest[0]))
    p = whole(raw)
    need(type(p) is dict and not set(p) & set(u))
    return message.n, raw, p, u, rest


def shape(message, inner=False):
    tag, raw, p, u, rest = parts(message)
    need(set(p) <= {1, 3, 4, 15, -65537} and 1 in p and (4 in p) == (tag != 96))
    need(type(p.get(3, 0)) is int and 0 <= p.get(3, 0) < 65536 and (-65537 not in p or p[-65537] == 2 and not inner))
    need(tag == 96 or is_bytes(p[4], 8 if tag == 18 else 1, 32))
    c = claims_of(p)
    need(p[1] in {16: (1, 3), 96: (1, 3), 17: (5,), 18: (-7, -8)}[tag])
    if 7 in c:
        need(is_bytes(c[7]) and len(c[7]) in (8, 16) and not inner)
        need(len(c[7]) == 16 or any(c[7][:4]) and any(c[7][4:]))
    if tag == 16 and 6 in u:
        need(set(u) == {6, 10} and is_bytes(u[6], 1, 4) and u[6][0] and is_bytes(u[10], 12, 76) and 7 not in c)
    elif tag == 16:
        need({5} <= set(u) <= {5, 10} and is_bytes(u[5], 12, 12) and is_bytes(u.get(10, b"x"), 1, 64) and 7 in c)
    elif tag == 96:
        need(set(u) == {5} and is_bytes(u[5], 12, 12) and 7 in c and type(rest[1]) is list and 1 <= len(rest[1]) <= 16)
        recipients(rest[1], -29 if p[1] == 1 else -31)
    elif tag == 17:
        need(set(u) <= {10} and is_bytes(u.get(10, b"x"), 1, 64) and 7 in c and is_bytes(rest[1], 32, 32))
    else:
        need(not u and is_bytes(rest[1], 64, 64) and (inner or 7 in c))
    need(not (p.get(3) == 18 and tag in (16, 96) and set(c) & {4, 6}))
    return tag, raw, p, u, rest, c


def recipients(items, alg):
    for r in items:
        need(type(r) is list and len(r) == 3 and is_bytes(r[0]) and whole(r[0]) == {1: alg} and is_bytes(r[2]))
        need(type(r[1]) is dict and set(r[1]) == {4, -1} and is_bytes(r[1][4], 8, 32) and type(r[1][-1]) is dict)
        e = r[1][-1]
        need(set(e) == {1, -1, -2, -3} and e[1] == 2 and e[-1] == 1 and is_bytes(e[-2], 32, 32))
        need(type(e[-3]) is bool or is_bytes(e[-3], 32, 32))
    kids = [r[1][4] for r in items]
    need(len(kids) == 1 or all(len(k) == 32 for k in kids) and len(set(kids)) == len(kids))


# --- opening ------------------------------------------------------------------
LEVEL = {"": 0, "checksum": 1, "group": 2, "source": 3}


def open_message(case, keys, message, retain, replay):
    req = case.get("require", {})
    topic, client, now = case["topic"], case.get("client_id", ""), case.get("now")
    if message[:1] not in (b"\xd0", b"\xd1", b"\xd2") and message[:2] != b"\xd8\x60" and message[:4][:3] != b"\xd9\xd9\xf7":
        return open_plain(case, message)
    if message[:3] == b"\xd9\xd9\xf7":
        message = message[3:]
        need(message[:1] in (b"\xd0", b"\xd1", b"\xd2") or message[:2] == b"\xd8\x60", "policy")
    tag, raw, p, u, rest, c = shape(whole(message))
    by_kid = {r.kid: r for r in keys}
    slot = 0
    if tag == 96 and len(rest[1]) > 1:
        found = [(i, r) for i, x in enumerate(rest[1]) for r in keys if r.use == "enc" and r.thumb == x[1][4]]
        need(found, "unknown-key")
        slot, rec = found[0]
    else:
        rec = by_kid.get(rest[1][0][1][4] if tag == 96 else p[4])
        need(rec, "unknown-key")
    mode_s = tag == 16 and 6 in u
    need(rec.use == {16: "S" if mode_s else "R", 96: "enc", 17: "mac", 18: "sign"}[tag], "policy")
    need((rec.content_alg if tag == 96 else rec.alg) == p[1] and rec.allows(topic), "policy")
    # kind, sender, sequence
    kind = 2 if -65537 in p else 1
    if rec.sender_rule == "redistribution":
        need(kind == 1, "policy")
        kind = 9
    wire = u.get(10, b"")[:-12] if mode_s else u.get(10, b"")
    need(not mode_s or any(u[10][-12:-8]) or rec.clockless, "policy")
    rule, sender = rec.sender_rule, b""
    if rule in ("wire", "redistribution"):
        need(rule != "wire" or len(wire) == rec.sender_size, "policy")
        sender = wire
    else:
        need(not wire and (rule != "client-id" or client), "policy")
        sender = {"fixed": rec.sid, "client-id": client.encode(), "anonymous": b""}[rule]
    nested, ordered = tag in (16, 96) and p.get(3) == 18, mode_s or len(c[7]) == 8
    anonymous = rule == "anonymous" and tag != 18 and not (tag == 96 and nested)
    if tag == 96 and rule == "client-id":
        need(len(rest[1]) == 1 and (nested or case.get("tls")), "policy")
    need(not (anonymous and ordered), "policy")
    need(ordered or anonymous or rec.unordered or (tag == 96 and nested), "policy")
    fresh = u[10] + u[6] if mode_s else c[7]
    # cryptography
    pub = write(["MQTT1", kind, topic, sender])
    signer, payload, owner = None, rest[0], rec
    if tag == 16:
        key, nonce = rec.k, u.get(5)
        if mode_s:
            def derive(alg, n):
                info = [alg, [sender, None, None], [rec.kid, None, None], [8 * n, b"", b"MQTT1"]]
                return hkdf(rec.k, u[10], write(info), n)
            key, base = derive(rec.alg, len(rec.k)), derive(34, 12)
            nonce = bytes(x ^ y for x, y in zip(base, u[6].rjust(12, b"\0")))
        payload = decrypt(key, nonce, "Encrypt0", raw, pub, rest[0])
    elif tag == 96:
        cek = unwrap(rec, rest[1][slot][0], rest[1][slot][1], rest[1][slot][2])
        payload = decrypt(cek, u[5], "Encrypt", raw, pub, rest[0])
    else:
        aad = write(["MQTT1", 10, kind, topic, sender, fresh, None])
        if tag == 17:
            want = hmac.digest(rec.k, write(["MAC0", raw, aad, payload]), "sha256")
            need(hmac.compare_digest(want, rest[1]), "verify-failed")
        else:
            verify(rec, p[1], write(["Signature1", raw, aad, payload]), rest[1])
            signer = rec
    if nested:
        need(payload[:1] == b"\xd2")
        _, iraw, ip, _, irest, c = shape(whole(payload), inner=True)
        signer = by_kid.get(ip[4])
        need(signer, "unknown-key")
        need(signer.use == "sign" and signer.alg == ip[1], "policy")
        thumbs = sorted(x[1][4] for x in rest[1]) if tag == 96 and len(rest[1]) > 1 else None
        aud = hashlib.sha256(write(thumbs)).digest() if thumbs else rec.thumb
        aad = write(["MQTT1", 10, kind, topic, sender if kind == 9 else signer.sid, fresh, aud])
        payload = irest[0]
        verify(signer, ip[1], write(["Signature1", iraw, aad, payload]), irest[1])
        need(signer.allows(topic) and (kind != 9 or signer.broker), "policy")
        need(kind == 9 or rule not in ("wire", "fixed") or signer.sid == sender, "policy")
        need(rule != "client-id" or signer.client_id in ("", client), "policy")
        if tag == 96 and rule != "client-id":
            owner = signer
            need(ordered or signer.unordered, "policy")
    who = signer.sid if nested and kind != 9 and signer.sender_rule == "fixed" else sender
    # time, policy, replay
    iat, age = c.get(6), owner.max_age or 300
    young = iat is not None and now - iat <= age
    need(now < c.get(4, 1 << 60) and (iat or 0) <= now + 300 and (ordered or young), "policy")
    if retain and kind != 2 and owner.max_age:
        need((4 in c or iat is not None) and (iat is None or young), "policy")
    level = 3 if signer or (rec.pairwise and tag in (16, 17)) else 0 if tag == 96 else 2
    need(tag in (16, 96) or not req.get("confidential"), "policy")
    need(level >= LEVEL[req.get("integrity", "")], "policy")
    need(not req.get("end_to_end") or (rec.e2e and kind != 9), "policy")
    sequence = (int.from_bytes(u[10][-12:-8], "big"), int.from_bytes(u[6], "big"), u[10][-8:]) if mode_s else \
        (int.from_bytes(c_outer(p)[:4], "big"), int.from_bytes(c_outer(p)[4:], "big"), b"") if ordered else None
    state = replay.setdefault((owner.kid, signer.sid if owner is signer else sender), {})
    timed = 4 in c or young
    outcome = order(state, sequence, c_outer(p), iat, kind, retain, req.get("fresh") and not timed)
    return outcome, {"payload": payload, "kind": kind, "sender": who, "signer": signer.kid if signer else b""}


def c_outer(p):
    return p.get(15, {}).get(7, b"")


def order(s, sequence, cti, iat, kind, retain, unproven):
    """The replay rules for one sender and one topic; wills are per sender."""
    seen = "same-state" if retain else "duplicate"
    if sequence is None:
        need(kind != 2, "policy")
        if cti in s.setdefault("ctis", set()):
            return seen
        s["ctis"].add(cti)
        return "deliver"
    boot, seq, salt = sequence
    current, topic = s.get("current"), s.get("topic")
    for known in (current, topic and topic[:2]):
        need(not (known and boot and known[0] == boot and known[1] != salt), "policy")
    if kind == 2:
        need(not current or boot >= current[0], "policy")
        if "will" in s:
            if s["will"] == (boot, seq):
                return seen
            need((boot, seq) > s["will"], "policy")
        s["will"] = (boot, seq)
    elif topic is None or (boot == 0 and topic[0] == 0 and topic[1] != salt):
        need(retain or not current or boot >= current[0], "policy")
        need(not unproven or (current and boot), "policy")
        s["topic"] = (boot, salt, {seq})
    else:
        tboot, _, got = topic
        high = max(got)
        if retain and (boot, seq) == (tboot, high):
            return "same-state"
        need((boot, seq) > (tboot, high) or not retain, "policy")
        need(boot >= tboot, "policy")
        if boot > tboot:
            s["topic"] = (boot, salt, {seq})
        elif seq in got and high - seq < 64:
            return "duplicate"
        else:
            need(high - seq < 64, "policy")
            got.add(seq)
    if not current or boot > current[0]:
        s["current"] = (boot, salt)
    return "deliver"


def open_plain(case, b):
    form, req, level = case.get("checksum"), case.get("require", {}), 0
    if form:
        if form == "prefix":
            need(b[:4] == bytes.fromhex("822f5820"), "verify-failed")
            b = b[4:]
        need(len(b) >= 32 and hashlib.sha256(b[32:]).digest() == b[:32], "verify-failed")
        b, level = b[32:], 1
    need(level >= LEVEL[req.get("integrity", "")], "policy")
    need(not (req.get("confidential") or req.get("end_to_end") or req.get("fresh")), "policy")
    return "deliver", {"payload": b}


# --- credentials --------------------------------------------------------------
def open_credential(case, keys, message):
    tag, raw, p, u, rest = parts(whole(message))
    c = claims_of(p)
    need(tag in (96, 17, 18) and set(p) == ({1, 15} if tag == 96 else {1, 4, 15}) and set(u) == ({5} if tag == 96 else set()))
    need(set(c) <= {6, 7} and is_bytes(c.get(7), 8, 8))
    if tag == 96:
        need(p[1] in (1, 3) and is_bytes(u[5], 12, 12) and len(rest[1]) == 1)
        recipients(rest[1], -29 if p[1] == 1 else -31)
    else:
        need(len(rest[0]) == 16 and is_bytes(rest[1]) and len(rest[1]) == (32 if tag == 17 else 64))
    kid = rest[1][0][1][4] if tag == 96 else p[4]
    rec = {r.kid: r for r in keys}.get(kid)
    need(rec, "unknown-key")
    need(rec.use == {96: "p1", 17: "p2", 18: "p3"}[tag] and (rec.content_alg if tag == 96 else rec.alg) == p[1], "policy")
    conn = case["connect"]
    need(conn["client_id"] and rec.client_id in ("", conn["client_id"]), "policy")
    need(rec.clockless if 6 not in c else abs(case["now"] - c[6]) <= 120, "policy")
    aad = write(["MQTT1", 3, conn["level"], conn["client_id"], conn["username"], conn["server"],
                 bytes.fromhex(conn["cb"]) if rec.cb else None])
    if tag == 96:
        cek = unwrap(rec, rest[1][0][0], rest[1][0][1], rest[1][0][2])
        content = whole(decrypt(cek, u[5], "Encrypt", raw, aad, rest[0]))
        need(type(content) is dict and {1} <= set(content) <= {1, 2, 3} and all(is_bytes(v) for v in content.values()))
        need(len(content.get(2, b"x" * 32)) == 32)
        return {"password": content[1]}
    if tag == 17:
        key = hkdf(rec.k, b"", write(["MQTT1", "p2-mac", rec.kid]), 32)
        need(hmac.compare_digest(hmac.digest(key, write(["MAC0", raw, aad, rest[0]]), "sha256"), rest[1]), "verify-failed")
    else:
        verify(rec, p[1], write(["Signature1", raw, aad, rest[0]]), rest[1])
    return {"password": b""}


# --- files --------------------------------------------------------------------
FIELDS = set("id type spec comment expect keys now topic client_id tls retain require connect checksum message steps result".split())


def run(case):
    need(set(case) <= FIELDS, "unknown field")
    keys = [Record(k) for k in case.get("keys", [])]
    message = bytes.fromhex(case.get("message", ""))
    if case["type"] == "credential":
        return "ok", open_credential(case, keys, message)
    if case["type"] in ("open", "checksum"):
        return "ok", open_message(case, keys, message, case.get("retain", False), {})[1]
    need(case["type"] == "sequence", "unknown type")
    replay = {}
    for i, step in enumerate(case["steps"]):
        try:
            got = open_message(case, keys, bytes.fromhex(step["message"]), step.get("retain", False), replay)[0]
        except Refused as r:
            got = str(r)
        need(got == step["expect"], "step %d: %s" % (i, got))
    return "ok", None


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    files, failed = sorted(folder.glob("protect/*/*.json")), 0
    for path in files:
        case = json.loads(path.read_text())
        try:
            got, result = run(case)
        except Refused as r:
            got, result = str(r), None
        want = case.get("result")
        same = want is None or result is not None and all(
            (bytes.fromhex(want.get(k, "")) if type(v) is bytes else want.get(k, 0)) == v for k, v in result.items())
        if got != case["expect"] or not same:
            failed += 1
            print("%s: got %s %s, want %s" % (case["id"], got, result, case["expect"]))
    print("%d vectors, %d failed" % (len(files), failed))
    sys.exit(1 if failed or not files else 0)


if __name__ == "__main__":
    main()
