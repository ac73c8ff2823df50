"""Writes the link vectors to standard output, from the specification alone (src/sign/mod.rs).

    python3 tests/vectors/make.py > tests/vectors/links.json

Standard library only. A test compares the two files, so a change of one without the other fails.
"""

import base64
import hashlib
import hmac
import json

NOW = 1779118492
HOUR = NOW + 3600
SECRETS = {  # Published, so refused by a keyring file; every such key begins with this text.
    "k1": b"hallpass-example-signing-key-0001",
    "k2": b"hallpass-example-signing-key-0002, longer than one block of the hash function",
}
KEYRING = [
    {"kid": "k1", "state": "active", "secret": base64.b64encode(SECRETS["k1"]).decode()},
    {"kid": "k2", "state": "verify-only", "secret": base64.b64encode(SECRETS["k2"]).decode()},
    {"kid": "gone", "state": "retired", "secret": None},
]
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def percent_encode(text):
    return "".join(chr(b) if b in UNRESERVED else f"%{b:02X}" for b in text.encode())


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def link(name, organization="org_123", file="file_abc123", expires=HOUR, claims=None, kid="k1",
         epoch=0, revision=0, client=None, base="https://files.example.com", secret=None,
         label="hallpass/v1/download"):
    claims = claims or {}
    secret = secret or SECRETS[kid]
    key_message = f"hallpass/v1/organization\n{organization}\n{epoch}\n"
    key = hmac.new(secret, key_message.encode(), hashlib.sha256).digest()
    pieces = [f"{claim}={percent_encode(claims[claim])}" for claim in sorted(claims)]
    fields = [label, organization, file, str(expires), str(revision), *pieces]
    message = "".join(field + "\n" for field in fields)
    mac = base64url(hmac.new(key, message.encode(), hashlib.sha256).digest())
    # In HTML "&not" is a sign of its own, so that claim is the first behind the "?".
    first = [piece for piece in pieces if piece.startswith("not-before=")]
    others = [piece for piece in pieces if piece not in first]
    query = "&".join([*first, f"expires={expires}", *others, f"token={kid}.{mac}"])
    return {
        "name": name,
        "kid": kid,
        "organization": organization,
        "organization_epoch": epoch,
        "file": file,
        "link_revision": revision,
        "expires": expires,
        "claims": claims,
        "client": client,
        "base_url": base,
        "organization_key": base64url(key),
        "message": message,
        "token": f"{kid}.{mac}",
        "link_id": mac[:12],
        "url": f"{base}/v1/organizations/{organization}/files/{file}/download?{query}",
    }


def bad(reason, good, url=None, now=NOW, client=None, epoch=None, revision=None, denied=None, explained=None):
    return {
        "name": good["name"],
        "reason": reason,
        "explained": explained or reason,
        "url": url or good["url"],
        "now": now,
        "client": client,
        "organization_epoch": good["organization_epoch"] if epoch is None else epoch,
        "link_revision": good["link_revision"] if revision is None else revision,
        "denied": denied or [],
    }


def changed(name, reason, old, new, **options):
    good = link(name, **options)
    assert old in good["url"], name
    return bad(reason, good, good["url"].replace(old, new))


DISPOSITION = "response-content-disposition"
TYPE = "response-content-type"
ENGLISH = 'attachment; filename="Invoice 1.pdf"'
CHINESE = "attachment; filename=\"__1.pdf\"; filename*=UTF-8''%E5%8F%91%E7%A5%A81.pdf"
EVERY = {
    "response-content-type": "application/vnd.example+json",
    "response-content-disposition": "inline; filename=\"a+b %41 & = ; ~!'()*.json\"",
    "not-before": str(NOW),
    "ip": "2001:db8::/32",
}

GOOD = [
    link("plain"),
    link("the shortest ids and the longest expiry", organization="o", file="-", expires=NOW + 604800),
    link("the longest ids", organization="o" * 128, file="F_-" * 42 + "z9"),
    link("another key, longer than a block", kid="k2"),
    link("raised epoch and revision", epoch=3, revision=12),
    link("a base with a prefix", base="http://127.0.0.1:8080/downloads"),
    link("disposition", claims={DISPOSITION: ENGLISH}),
    link("disposition of a name that is not ASCII", claims={DISPOSITION: CHINESE}),
    link("type", claims={TYPE: "text/plain"}),
    link("type with a charset", claims={TYPE: "text/html; charset=utf-8"}),
    link("plus and percent", claims={DISPOSITION: 'inline; filename="1+1=2 100%.txt"', TYPE: "image/svg+xml"}),
    link("not before now", claims={"not-before": str(NOW)}),
    link("one address", claims={"ip": "192.0.2.7"}, client="192.0.2.7"),
    link("a mapped address", claims={"ip": "192.0.2.0/24"}, client="::ffff:192.0.2.200"),
    link("not before and an address", claims={"not-before": str(NOW), "ip": "192.0.2.7"}, client="192.0.2.7"),
    link("every claim", claims=EVERY, client="2001:db8:1::1"),
    link("the longest claim", claims={DISPOSITION: "inline; x=" + "y" * 2038}),
]

PLAIN = link("plain")
MAC = PLAIN["token"].split(".")[1]
# 43 characters hold 258 bits: the next of four letters stands for the same 256 with a stray bit.
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
STRAY = MAC[:-1] + ALPHABET[ALPHABET.index(MAC[-1]) + 1]
FLIPPED = ("A" if MAC[0] != "A" else "B") + MAC[1:]

BAD = [
    changed("no token", "malformed", "&token=" + PLAIN["token"], ""),
    changed("no expires", "malformed", f"expires={HOUR}&", ""),
    changed("empty token", "malformed", PLAIN["token"], ""),
    changed("token one character short", "malformed", MAC, MAC[:-1]),
    changed("token one character long", "malformed", MAC, MAC + "A"),
    changed("padding", "malformed", MAC, MAC + "%3D"),
    changed("newline behind the token", "malformed", MAC, MAC + "%0a"),
    changed("zero byte behind the token", "malformed", MAC, MAC + "%00"),
    changed("stray bits in the last character", "malformed", MAC, STRAY),
    changed("MAC in hex", "malformed", MAC, base64.urlsafe_b64decode(MAC + "=").hex().upper()),
    changed("half a percent-encoding", "malformed", MAC, MAC + "%4"),
    changed("token twice", "malformed", "&token=", f"&token=k1.{FLIPPED}&token="),
    changed("token twice, once percent-encoded", "malformed", "&token=", f"&%74oken=k1.{FLIPPED}&token="),
    changed("expires twice", "malformed", "?expires=", "?expires=99999999999&expires="),
    changed("expires as an array", "malformed", "expires=", "expires[]="),
    changed("upper-case name", "malformed", "token=", "TOKEN="),
    changed("semicolon", "malformed", "&", ";"),
    changed("empty name", "malformed", "&", "&=v&"),
    changed("leading zero", "malformed", "expires=", "expires=0"),
    changed("sign", "malformed", "expires=", "expires=%2B"),
    changed("space", "malformed", "expires=", "expires=+"),
    changed("twelve digits", "malformed", f"expires={HOUR}", "expires=100000000000"),
    changed("kid with a slash", "malformed", "token=k1", "token=k/1"),
    changed("kid of seventeen characters", "malformed", "token=k1", "token=" + "k" * 17),
    changed("file id with a percent-encoding", "malformed", "file_abc123", "%66ile_abc123"),
    changed("empty claim", "malformed", "&token=", "&ip=&token="),
    bad("malformed", link("claim of 2,049 bytes", claims={DISPOSITION: "inline; x=" + "y" * 2039})),
    changed("unknown kid", "kid_unknown", "token=k1", "token=k9"),
    changed("retired kid", "kid_retired", "token=k1", "token=gone"),
    changed("another key's kid", "mac_mismatch", "token=k1", "token=k2"),
    changed("one character of the MAC", "mac_mismatch", MAC, FLIPPED),
    changed("later expiry", "mac_mismatch", f"expires={HOUR}", f"expires={HOUR + 1}"),
    changed("another file", "mac_mismatch", "file_abc123", "file_abc124"),
    changed("another organization", "mac_mismatch", "org_123", "org_abc123"),
    changed("a claim added", "mac_mismatch", "&token=", "&response-content-type=text%2Fhtml&token="),
    changed("a claim removed", "mac_mismatch", "&ip=192.0.2.7", "", claims={"ip": "192.0.2.7"}),
    changed("a claim changed", "mac_mismatch", "inline", "attachment", claims={DISPOSITION: "inline"}),
    changed("border of two ids moved", "mac_mismatch", "org_1/files/23", "org_12/files/3", organization="org_1", file="23"),
    bad("mac_mismatch", link("made for another purpose", label="hallpass/v1/upload")),
    bad("mac_mismatch", link("made with another secret", secret=b"hallpass-example-signing-key-9999")),
    bad("mac_mismatch", link("file revoked", revision=2), revision=4, explained="file_revoked"),
    bad("mac_mismatch", link("organization revoked", revision=2), epoch=1, revision=0, explained="organization_revoked"),
    bad("mac_mismatch", link("from a revision that was never reached", revision=1), revision=0),
    bad("expired", link("the second it expires"), now=HOUR),
    bad("expired", link("no expiry", expires=0)),
    bad("too_far", link("a second too far", expires=NOW + 604801)),
    bad("too_far", link("the last second there is", expires=99999999999)),
    bad("malformed", link("disposition that is no ASCII", claims={DISPOSITION: 'attachment; filename="发票1.pdf"'})),
    bad("malformed", link("disposition with a line break", claims={DISPOSITION: "inline\r\nSet-Cookie: x"})),
    bad("malformed", link("type with parameters", claims={TYPE: "text/html; x=y"})),
    bad("malformed", link("not-before with a sign", claims={"not-before": "+1"})),
    bad("malformed", link("network with host bits", claims={"ip": "192.0.2.7/24"}), client="192.0.2.7"),
    bad("expired", link("expired before its claims are looked at", claims={"ip": "x"}), now=HOUR),
    bad("not_yet_valid", link("a second early", claims={"not-before": str(NOW + 1)})),
    bad("not_yet_valid", link("early and elsewhere", claims={"not-before": str(NOW + 1), "ip": "192.0.2.7"})),
    bad("ip_mismatch", link("another address", claims={"ip": "192.0.2.7"}), client="192.0.2.8"),
    bad("ip_mismatch", link("an unknown address", claims={"ip": "0.0.0.0/0"})),
    bad("ip_mismatch", link("the other family", claims={"ip": "::/0"}), client="192.0.2.7"),
    bad("link_revoked", PLAIN, denied=[PLAIN["link_id"]]),
]

VECTORS = {
    "about": "Signed links, version 1. Good ones: what goes in and what must come out. Bad ones: why a "
    "verifier refuses them, and what an operator's verify explains. All at the time `now`, except where "
    "a bad one has its own, with an `expires` at most `lifetime_max` seconds ahead and no leeway.",
    "now": NOW,
    "lifetime_max": 604800,
    "keyring": KEYRING,
    "good": GOOD,
    "bad": BAD,
}
print(json.dumps(VECTORS, indent=1, ensure_ascii=False))
