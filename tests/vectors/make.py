"""Writes the vectors of one kind to standard output, from the specification alone (src/sign/mod.rs).

    python3 tests/vectors/make.py links > tests/vectors/links.json
    python3 tests/vectors/make.py counted > tests/vectors/counted.json
    python3 tests/vectors/make.py ticket > tests/vectors/ticket.json
    python3 tests/vectors/make.py share > tests/vectors/share.json
    python3 tests/vectors/make.py pass > tests/vectors/pass.json

Standard library only. A test compares what it writes with the files, so a change of one without the other fails.
"""

import base64
import hashlib
import hmac
import json
import sys

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
         label="hallpass/v1/download", route="download", key_label="hallpass/v1/organization"):
    claims = claims or {}
    secret = secret or SECRETS[kid]
    key_message = f"{key_label}\n{organization}\n{epoch}\n"
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
        "url": f"{base}/v1/organizations/{organization}/files/{file}/{route}?{query}",
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


def changed(name, reason, old, new, make=link, **options):
    good = make(name, **options)
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

NONCE = "4Qm0zR8sVt1LwXy7KbDc2e"
ONCE = {"max-downloads": "1", "nonce": NONCE}


def counted(name, claims=None, **options):
    """A counted link. A claim that is None is left out."""
    claims = {claim: text for claim, text in {**ONCE, **(claims or {})}.items() if text is not None}
    options = {"label": "hallpass/v1/counted", "route": "redeem", **options}
    return link(name, claims=claims, **options)


def bad_claim(name, claim, text, reason="malformed"):
    return bad(reason, counted(name, claims={claim: text}))


COUNTED_GOOD = [
    counted("once"),
    counted("as often as may be", claims={"max-downloads": "1000000"}),
    counted("by GET", claims={"redeem": "get"}),
    counted("by POST, which is said", claims={"redeem": "post"}),
    counted("without a nonce", claims={"nonce": None}),
    counted("another nonce", claims={"nonce": "0" * 22}),
    counted("another key, longer than a block", kid="k2"),
    counted("raised epoch and revision", epoch=3, revision=12),
    counted("a base with a prefix", base="http://127.0.0.1:8080/downloads"),
    counted("not before now", claims={"not-before": str(NOW)}),
    counted("one address", claims={"ip": "192.0.2.7"}, client="192.0.2.7"),
    counted("disposition of a name that is not ASCII", claims={DISPOSITION: CHINESE}),
    counted("every claim", claims={**EVERY, "max-downloads": "25", "redeem": "get"}, client="2001:db8:1::1"),
]

COUNTED = counted("once")
OF_ADDRESS = {"ip": "192.0.2.7"}

COUNTED_BAD = [
    bad_claim("no max-downloads", "max-downloads", None),
    bad_claim("no download", "max-downloads", "0"),
    bad_claim("max-downloads with a leading zero", "max-downloads", "01"),
    bad_claim("max-downloads with an exponent", "max-downloads", "1e3"),
    bad_claim("one download too many", "max-downloads", "1000001"),
    bad_claim("max-downloads with a sign", "max-downloads", "+1"),
    bad_claim("max-downloads of other digits", "max-downloads", "\u0661"),
    bad_claim("redeem in upper case", "redeem", "GET"),
    bad_claim("redeem by PUT", "redeem", "put"),
    bad_claim("nonce of 21 characters", "nonce", NONCE[:-1]),
    bad_claim("nonce of 23 characters", "nonce", NONCE + "0"),
    bad_claim("nonce with a hyphen", "nonce", NONCE[:-1] + "-"),
    bad_claim("type with parameters", TYPE, "text/html; x=y"),
    changed("max-downloads twice", "malformed", "&nonce=", "&max-downloads=1&nonce=", counted),
    changed("max-downloads twice, once percent-encoded", "malformed", "&nonce=", "&m%61x-downloads=1&nonce=", counted),
    changed("redeem twice", "malformed", "&token=", "&redeem=get&token=", counted, claims={"redeem": "get"}),
    changed("nonce twice", "malformed", "&nonce=", f"&nonce={NONCE}&nonce=", counted),
    changed("empty max-downloads", "malformed", "max-downloads=1", "max-downloads=", counted),
    changed("max-downloads without a value", "malformed", "max-downloads=1", "max-downloads", counted),
    changed("no token", "malformed", "&token=" + COUNTED["token"], "", counted),
    changed("no expires", "malformed", f"expires={HOUR}&", "", counted),
    changed("leading zero", "malformed", "expires=", "expires=0", counted),
    changed("unknown kid", "kid_unknown", "token=k1", "token=k9", counted),
    changed("retired kid", "kid_retired", "token=k1", "token=gone", counted),
    changed("another key's kid", "mac_mismatch", "token=k1", "token=k2", counted),
    changed("more downloads", "mac_mismatch", "max-downloads=1", "max-downloads=2", counted),
    changed("max-downloads removed", "mac_mismatch", "&max-downloads=1", "", counted),
    changed("another nonce", "mac_mismatch", NONCE, NONCE[::-1], counted),
    changed("nonce removed", "mac_mismatch", f"&nonce={NONCE}", "", counted),
    changed("by GET, which was not signed", "mac_mismatch", "&token=", "&redeem=get&token=", counted),
    changed("by POST, which was not signed", "mac_mismatch", "redeem=get", "redeem=post", counted, claims={"redeem": "get"}),
    changed("later expiry", "mac_mismatch", f"expires={HOUR}", f"expires={HOUR + 1}", counted),
    changed("another file", "mac_mismatch", "file_abc123", "file_abc124", counted),
    changed("another organization", "mac_mismatch", "org_123", "org_abc123", counted),
    changed("the token of a link that opens bytes", "mac_mismatch", "/download?", "/redeem?"),
    changed("the token of a link that opens bytes, with max-downloads", "mac_mismatch", "/download?", "/redeem?max-downloads=1&"),
    bad("mac_mismatch", counted("made for a link that opens bytes", label="hallpass/v1/download")),
    bad("mac_mismatch", counted("made with the gateway's key", key_label="hallpass/v1/gateway")),
    bad("mac_mismatch", counted("made with another secret", secret=b"hallpass-example-signing-key-9999")),
    bad("mac_mismatch", counted("file revoked", revision=2), revision=4, explained="file_revoked"),
    bad("mac_mismatch", counted("organization revoked", revision=2), epoch=1, revision=0, explained="organization_revoked"),
    bad("expired", counted("the second it expires"), now=HOUR),
    bad("too_far", counted("a second too far", expires=NOW + 604801)),
    bad("expired", counted("expired before its claims are looked at", claims={"max-downloads": "0"}), now=HOUR),
    bad("not_yet_valid", counted("a second early", claims={"not-before": str(NOW + 1)})),
    bad("ip_mismatch", counted("another address", claims=OF_ADDRESS), client="192.0.2.8"),
    bad("ip_mismatch", counted("an unknown address", claims=OF_ADDRESS)),
    bad("link_revoked", COUNTED, denied=[COUNTED["link_id"]]),
]

RID = "7hGf3KpQ9sTz0aBcDeFgHi"


def ticket(name, organization="org_123", rid=RID, expires=HOUR, kid="k1", epoch=0, filename="report.png",
           base="https://files.example.com", secret=None, label="hallpass/v1/ticket", key_label="hallpass/v1/gateway"):
    key_message = f"{key_label}\n{organization}\n{epoch}\n"
    key = hmac.new(secret or SECRETS[kid], key_message.encode(), hashlib.sha256).digest()
    message = f"{label}\n{organization}\n{rid}\n{expires}\n"
    mac = base64url(hmac.new(key, message.encode(), hashlib.sha256).digest())
    text = f"{kid}.{expires}.{rid}.{mac}"
    return {
        "name": name,
        "kid": kid,
        "organization": organization,
        "organization_epoch": epoch,
        "redemption": rid,
        "expires": expires,
        "filename": filename,
        "base_url": base,
        "gateway_key": base64url(key),
        "message": message,
        "ticket": text,
        "url": f"{base}/v1/organizations/{organization}/tickets/{text}/{percent_encode(filename)}",
    }


def bad_ticket(name, reason, old="", new="", now=NOW, epoch=None, denied=None, explained=None, **options):
    good = ticket(name, **options)
    assert old in good["url"], name
    return {
        "name": name,
        "reason": reason,
        "explained": explained or reason,
        "url": good["url"].replace(old, new) if old else good["url"],
        "now": now,
        "organization_epoch": good["organization_epoch"] if epoch is None else epoch,
        "denied": denied or [],
    }


TICKET = ticket("plain")
TICKET_MAC = TICKET["ticket"].split(".")[3]
TICKET_STRAY = TICKET_MAC[:-1] + ALPHABET[ALPHABET.index(TICKET_MAC[-1]) + 1]
TICKET_FLIPPED = ("A" if TICKET_MAC[0] != "A" else "B") + TICKET_MAC[1:]

TICKET_GOOD = [
    TICKET,
    ticket("the shortest organization and the farthest end", organization="o", expires=99999999999),
    ticket("the longest organization", organization="o" * 128),
    ticket("another key, longer than a block", kid="k2"),
    ticket("raised epoch", epoch=3),
    ticket("a base with a prefix", base="http://127.0.0.1:8080/downloads"),
    ticket("an id of digits", rid="0" * 22),
    ticket("a name that is not ASCII", filename="发票 1.pdf"),
    ticket("a name of every sign", filename="a+b %41&=;/?#\u202e~!'()*.json"),
    ticket("a long name", filename="x" * 1024),
]

TICKET_BAD = [
    bad_ticket("id of 21 characters", "malformed", RID, RID[:-1]),
    bad_ticket("id of 23 characters", "malformed", RID, RID + "0"),
    bad_ticket("id of 21 characters, signed", "malformed", rid=RID[:-1]),
    bad_ticket("id with a hyphen, signed", "malformed", rid=RID[:-1] + "-"),
    bad_ticket("no id", "malformed", RID + ".", ""),
    bad_ticket("five parts", "malformed", RID, RID + ".0"),
    bad_ticket("no kid", "malformed", "/k1.", "/."),
    bad_ticket("kid of seventeen characters", "malformed", "/k1.", "/" + "k" * 17 + "."),
    bad_ticket("leading zero", "malformed", f".{HOUR}.", f".0{HOUR}."),
    bad_ticket("sign", "malformed", f".{HOUR}.", f".+{HOUR}."),
    bad_ticket("twelve digits", "malformed", f".{HOUR}.", ".100000000000."),
    bad_ticket("no end", "malformed", f".{HOUR}.", ".."),
    bad_ticket("MAC one character short", "malformed", TICKET_MAC, TICKET_MAC[:-1]),
    bad_ticket("MAC one character long", "malformed", TICKET_MAC, TICKET_MAC + "A"),
    bad_ticket("padding", "malformed", TICKET_MAC, TICKET_MAC + "="),
    bad_ticket("stray bits in the last character", "malformed", TICKET_MAC, TICKET_STRAY),
    bad_ticket("a dot that is percent-encoded", "malformed", "/k1.", "/k1%2e"),
    bad_ticket("an id that is percent-encoded", "malformed", RID, "%37" + RID[1:]),
    bad_ticket("an organization that is percent-encoded", "malformed", "org_123", "%6frg_123"),
    bad_ticket("empty name", "malformed", "report.png", ""),
    bad_ticket("no name", "malformed", "/report.png", ""),
    bad_ticket("a name of two segments", "malformed", "report.png", "a/b"),
    bad_ticket("unknown kid", "kid_unknown", "/k1.", "/k9."),
    bad_ticket("retired kid", "kid_retired", "/k1.", "/gone."),
    bad_ticket("another key's kid", "mac_mismatch", "/k1.", "/k2."),
    bad_ticket("one character of the MAC", "mac_mismatch", TICKET_MAC, TICKET_FLIPPED),
    bad_ticket("later end", "mac_mismatch", f".{HOUR}.", f".{HOUR + 1}."),
    bad_ticket("another id", "mac_mismatch", RID, RID[::-1]),
    bad_ticket("another organization", "mac_mismatch", "org_123", "org_abc123"),
    bad_ticket("made with the organization's key", "mac_mismatch", key_label="hallpass/v1/organization"),
    bad_ticket("made for a download", "mac_mismatch", label="hallpass/v1/download"),
    bad_ticket("made with another secret", "mac_mismatch", secret=b"hallpass-example-signing-key-9999"),
    bad_ticket("organization revoked", "mac_mismatch", epoch=2, explained="organization_revoked"),
    bad_ticket("the second it ends", "expired", now=HOUR),
    bad_ticket("revoked by its own id", "link_revoked", denied=[TICKET_MAC[:12]]),
]

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHARE = "share_019e3bb8e6c47d189212a79642136696"


def share(name, organization="org_123", share=SHARE, revision=0, kid="k1", epoch=0, base="https://files.example.com",
          secret=None, label="hallpass/v1/share-code", key_label="hallpass/v1/gateway"):
    key_message = f"{key_label}\n{organization}\n{epoch}\n"
    key = hmac.new(secret or SECRETS[kid], key_message.encode(), hashlib.sha256).digest()
    message = f"{label}\n{organization}\n{share}\n{revision}\n"
    mac = hmac.new(key, message.encode(), hashlib.sha256).digest()
    number = int.from_bytes(mac, "big")
    code = "".join(DIGITS[number // 62**i % 62] for i in range(22))
    return {
        "name": name,
        "kid": kid,
        "organization": organization,
        "organization_epoch": epoch,
        "share": share,
        "revision": revision,
        "base_url": base,
        "gateway_key": base64url(key),
        "message": message,
        "mac": base64url(mac),
        "link_id": base64url(mac)[:12],
        "code": code,
        "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
        "url": f"{base}/s/{code}",
    }


def bad_share(name, reason, code=None, epoch=None, denied=None, row=None, **options):
    """A code beside the row that it was asked of: what is in `row` is otherwise there."""
    good = share(name, **options)
    row = {key: good[key] for key in ("kid", "organization", "share", "revision")} | (row or {})
    return {
        "name": name,
        "reason": reason,
        "code": good["code"] if code is None else code,
        **row,
        "epoch": good["organization_epoch"],
        "organization_epoch": good["organization_epoch"] if epoch is None else epoch,
        "denied": denied or [],
    }


CODE = share("plain")["code"]
SHARE_GOOD = [
    share("plain"),
    share("rotated", revision=1),
    share("the farthest revision", revision=2**63 - 1),
    share("raised epoch", epoch=3),
    share("another key, longer than a block", kid="k2"),
    share("the shortest ids", organization="o", share="s"),
    share("the longest ids", organization="o" * 128, share="s" * 128),
    share("a base with a prefix", base="http://127.0.0.1:8080/downloads"),
]
SHARE_BAD = [
    bad_share("code of 21 characters", "malformed", CODE[:-1]),
    bad_share("code of 23 characters", "malformed", CODE + "0"),
    bad_share("no code", "malformed", ""),
    bad_share("a hyphen", "malformed", CODE[:-1] + "-"),
    bad_share("percent-encoded", "malformed", f"%{ord(CODE[0]):02x}{CODE[1:-2]}"),
    bad_share("a letter that is not ASCII", "malformed", CODE[:-2] + "é"),
    bad_share("the other case", "mac_mismatch", CODE.swapcase()),
    bad_share("one character of it", "mac_mismatch", CODE[:-1] + ("a" if CODE[-1] != "a" else "b")),
    bad_share("rotated since", "mac_mismatch", row={"revision": 1}),
    bad_share("not rotated yet", "mac_mismatch", revision=1, row={"revision": 0}),
    bad_share("another share", "mac_mismatch", row={"share": SHARE[:-1] + "7"}),
    bad_share("another organization", "mac_mismatch", row={"organization": "org_124"}),
    bad_share("another key's kid", "mac_mismatch", row={"kid": "k2"}),
    bad_share("unknown kid", "kid_unknown", row={"kid": "k9"}),
    bad_share("retired kid", "kid_retired", row={"kid": "gone"}),
    bad_share("organization revoked", "organization_revoked", epoch=1),
    bad_share("of an epoch that has not come", "organization_revoked") | {"epoch": 1},
    bad_share("made with the organization's key", "mac_mismatch", key_label="hallpass/v1/organization"),
    bad_share("made as a ticket", "mac_mismatch", label="hallpass/v1/ticket"),
    bad_share("made with another secret", "mac_mismatch", secret=b"hallpass-example-signing-key-9999"),
    bad_share("revoked by its link id", "link_revoked", denied=[share("plain")["link_id"]]),
]



def share_pass(name, organization="org_123", share=SHARE, revision=0, expires=NOW + 3600, kid="k1", epoch=0, secret=None,
               label="hallpass/v1/share-pass", key_label="hallpass/v1/gateway"):
    key_message = f"{key_label}\n{organization}\n{epoch}\n"
    key = hmac.new(secret or SECRETS[kid], key_message.encode(), hashlib.sha256).digest()
    message = f"{label}\n{organization}\n{share}\n{revision}\n{expires}\n"
    mac = base64url(hmac.new(key, message.encode(), hashlib.sha256).digest())
    return {
        "name": name,
        "kid": kid,
        "organization": organization,
        "organization_epoch": epoch,
        "share": share,
        "pass_revision": revision,
        "expires": expires,
        "gateway_key": base64url(key),
        "message": message,
        "mac": mac,
        "pass": f"{kid}.{expires}.{mac}",
    }


def bad_pass(name, reason, text=None, epoch=None, row=None, **options):
    """A pass beside the share that it was sent to: what is in `row` is otherwise there."""
    good = share_pass(name, **options)
    return {
        "name": name,
        "reason": reason,
        "pass": good["pass"] if text is None else text,
        **{key: good[key] for key in ("organization", "share", "pass_revision")},
        **(row or {}),
        "organization_epoch": good["organization_epoch"] if epoch is None else epoch,
    }


PASS = share_pass("plain")["pass"]
PASS_GOOD = [
    share_pass("plain"),
    share_pass("a changed password", revision=1),
    share_pass("the farthest revision", revision=2**63 - 1),
    share_pass("raised epoch", epoch=3),
    share_pass("another key, longer than a block", kid="k2"),
    share_pass("the last second", expires=NOW + 1),
    share_pass("the shortest ids", organization="o", share="s"),
    share_pass("the longest ids", organization="o" * 128, share="s" * 128),
]
PASS_BAD = [
    bad_pass("none", "malformed", ""),
    bad_pass("a point less", "malformed", PASS.replace(".", "", 1)),
    bad_pass("a point more", "malformed", PASS + "."),
    bad_pass("padded", "malformed", PASS + "="),
    bad_pass("cut", "malformed", PASS[:-1]),
    bad_pass("in quotes", "malformed", f'"{PASS}"'),
    bad_pass("seconds with a zero", "malformed", PASS.replace(".", ".0", 1)),
    bad_pass("a kilobyte", "malformed", PASS + "A" * 1024),
    bad_pass("another end", "mac_mismatch", PASS.replace(str(NOW + 3600), str(NOW + 3601))),
    bad_pass("another share", "mac_mismatch", row={"share": SHARE[:-1] + "7"}),
    bad_pass("another organization", "mac_mismatch", row={"organization": "org_124"}),
    bad_pass("of an earlier password", "mac_mismatch", row={"pass_revision": 1}),
    bad_pass("of a later password", "mac_mismatch", revision=1, row={"pass_revision": 0}),
    bad_pass("organization revoked", "mac_mismatch", epoch=1),
    bad_pass("over", "expired", expires=NOW),
    bad_pass("unknown kid", "kid_unknown", PASS.replace("k1.", "k9.", 1)),
    bad_pass("retired kid", "kid_retired", PASS.replace("k1.", "gone.", 1)),
    bad_pass("another key's kid", "mac_mismatch", PASS.replace("k1.", "k2.", 1)),
    bad_pass("made with the organization's key", "mac_mismatch", key_label="hallpass/v1/organization"),
    bad_pass("made as a code", "mac_mismatch", label="hallpass/v1/share-code"),
    bad_pass("made with another secret", "mac_mismatch", secret=b"hallpass-example-signing-key-9999"),
]

COUNTED_VECTORS = {
    "about": "Counted links, version 1, as in links.json: they start a download, and open nothing themselves.",
    "now": NOW,
    "lifetime_max": 604800,
    "keyring": KEYRING,
    "good": COUNTED_GOOD,
    "bad": COUNTED_BAD,
}
TICKET_VECTORS = {
    "about": "Tickets, version 1, as in links.json: with one a download that was started is fetched. The name at the "
    "end of the URL is not signed.",
    "now": NOW,
    "keyring": KEYRING,
    "good": TICKET_GOOD,
    "bad": TICKET_BAD,
}
SHARE_VECTORS = {
    "about": "Codes of shares, version 1, as in links.json: what a share's page is opened by. A bad one is asked of a row "
    "that says the kid, the epoch and the revision beside it; the organization's epoch is the one in force.",
    "now": NOW,
    "keyring": KEYRING,
    "good": SHARE_GOOD,
    "bad": SHARE_BAD,
}
PASS_VECTORS = {
    "about": "Passes of shares, version 1, as in links.json: what whoever gave a share's password sends along. A bad one is "
    "sent to the share that is beside it.",
    "now": NOW,
    "keyring": KEYRING,
    "good": PASS_GOOD,
    "bad": PASS_BAD,
}
ALL = {
    "links": VECTORS,
    "counted": COUNTED_VECTORS,
    "ticket": TICKET_VECTORS,
    "share": SHARE_VECTORS,
    "pass": PASS_VECTORS,
}
print(json.dumps(ALL[sys.argv[1]], indent=1, ensure_ascii=False))
