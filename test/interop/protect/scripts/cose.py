"""Opens our messages with pycose, and makes messages with pycose for us. pycose 1.1.0 needs cbor2 before 6.

Reads one JSON object from standard input, byte strings in hexadecimal: {key, public_x, public_y, private, seed, seed_public,
kid, mac_kid, signer, reader, sender, topic, messages: {form: envelope}}. Prints {"opened": {form: payload}, "made": {form: envelope}}.
"""
import json, os, sys, time
import cbor2
from pycose.algorithms import A256GCM, EcdhEsA256KW, EdDSA, HMAC256
from pycose.headers import Algorithm, IV, KID, StaticKey
from pycose.keys import EC2Key, OKPKey, SymmetricKey
from pycose.keys.keyparam import KpKty
from pycose.messages import CoseMessage, Enc0Message, EncMessage, Mac0Message, Sign1Message
from pycose.messages.recipient import KeyAgreementWithKeyWrap

j = json.load(sys.stdin)
b = {k: bytes.fromhex(v) for k, v in j.items() if type(v) is str and k != "topic"}
topic, sender = j["topic"], b["sender"]
symmetric = SymmetricKey(k=b["key"])
signer = OKPKey(crv="ED25519", x=b["seed_public"], d=b["seed"])
reader = EC2Key(crv="P_256", x=b["public_x"], y=b["public_y"], d=b["private"])


def publish_aad(who):
    return cbor2.dumps(["MQTT1", 1, topic, who])


def source_aad(who, cti):
    return cbor2.dumps(["MQTT1", 10, 1, topic, who, cti, None])


def raw_header(m):
    return cbor2.loads(m.phdr_encoded)


def open_message(form, envelope):
    m = CoseMessage.decode(envelope)
    cti = raw_header(m).get(15, {}).get(7)
    if form == "Encrypt0":
        m.key, m.external_aad = symmetric, publish_aad(sender)
        return m.decrypt()
    if form == "Encrypt":
        m.external_aad, m.recipients[0].key = publish_aad(b""), reader
        return m.decrypt(m.recipients[0])
    if form == "Mac0":
        m.key, m.external_aad = symmetric, source_aad(sender, cti)
        assert m.verify_tag()
    else:
        m.key, m.external_aad = signer, source_aad(b["signer"], cti)
        assert m.verify_signature()
    return m.payload


def protected(alg, kid=None, ordered=True):
    cti = b"\0\0\0\1\0\0\0\1" if ordered else os.urandom(16)
    h = {Algorithm: alg, 15: {6: int(time.time()), 7: cti}}
    if kid is not None:
        h[KID] = kid
    return h, cti


def make(form):
    payload = b"made by pycose: " + form.encode()
    if form == "Encrypt0":
        h, _ = protected(A256GCM, b["kid"])
        m = Enc0Message(phdr=h, uhdr={IV: os.urandom(12), 10: b"pycose01"}, payload=payload)
        m.key, m.external_aad = symmetric, publish_aad(b"pycose01")
    elif form == "Mac0":
        h, cti = protected(HMAC256, b["mac_kid"])
        m = Mac0Message(phdr=h, uhdr={10: b"pycose01"}, payload=payload)
        m.key, m.external_aad = symmetric, source_aad(b"pycose01", cti)
    elif form == "Sign1":
        h, cti = protected(EdDSA, b["signer"])
        m = Sign1Message(phdr=h, payload=payload)
        m.key, m.external_aad = signer, source_aad(b["signer"], cti)
    else:
        h, _ = protected(A256GCM, ordered=False)
        public = EC2Key(crv="P_256", x=b["public_x"], y=b["public_y"])
        to = KeyAgreementWithKeyWrap(phdr={Algorithm: EcdhEsA256KW}, uhdr={KID: b["reader"]}, payload=os.urandom(32))
        to.local_attrs = {StaticKey: public}
        m = EncMessage(phdr=h, uhdr={IV: os.urandom(12)}, payload=payload, recipients=[to], external_aad=publish_aad(b""))
    return m.encode()


print(json.dumps({
    "opened": {form: open_message(form, bytes.fromhex(e)).hex() for form, e in j["messages"].items()},
    "made": {form: make(form).hex() for form in j["messages"]},
}))
