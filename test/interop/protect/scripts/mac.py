"""Recomputes the tag of a COSE_Mac0 of the profile MQTT1 with nothing but hashlib and hmac.

Usage: mac.py ENVELOPE KEY TOPIC, the first two in hexadecimal. Prints "ok" or what differs.
"""
import hmac, sys


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    if n < 256:
        return bytes([major << 5 | 24, n])
    return bytes([major << 5 | 25]) + n.to_bytes(2, "big")


def byte_string(b):
    return head(2, len(b)) + b


def text(s):
    return head(3, len(s.encode())) + s.encode()


def take(b, at):
    """Reads a byte string and returns it with the offset behind it."""
    n, at = b[at] & 31, at + 1
    if n >= 24:
        width = 1 << (n - 24)
        n, at = int.from_bytes(b[at:at + width], "big"), at + width
    return b[at:at + n], at + n


envelope, key = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2])
assert envelope[:2] == b"\xd1\x84", "tag 17, array of 4"
protected, at = take(envelope, 2)
assert envelope[at:at + 2] == b"\xa1\x0a", "unprotected: kid context alone"
sender, at = take(envelope, at + 2)
payload, at = take(envelope, at)
tag, at = take(envelope, at)
assert at == len(envelope) and len(tag) == 32
fresh = protected[protected.rindex(b"\x07\x48") + 2:][:8]  # claim 7, 8 bytes: the last one of the map
aad = head(4, 7) + text("MQTT1") + head(0, 10) + head(0, 1) + text(sys.argv[3]) + byte_string(sender) + byte_string(fresh) + b"\xf6"
structure = head(4, 4) + text("MAC0") + byte_string(protected) + byte_string(aad) + byte_string(payload)
print("ok" if hmac.new(key, structure, "sha256").digest() == tag else "the tag differs")
