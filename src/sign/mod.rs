//! The signed link, version 1, and its kin. This page is their specification.
//!
//! A signed URL opens one file of one organization until a moment that it names itself. It holds
//! everything that is needed to check it but for the key, so a bad one never costs a look at the
//! catalogue or the disk. Nothing in this layer does IO, reads a clock, draws random bytes or logs.
//!
//! # Grammar
//!
//! ```text
//! url       = base "/v1/organizations/" id "/files/" id "/download" [ "/" name ] "?" query
//! name      = one path segment                    ; not empty, neither "." nor ".."; says nothing
//! query     = piece *( "&" piece )                ; split at "&" and nowhere else
//! piece     = name [ "=" value ]                  ; no "=": the value is empty
//! id        = 1*128( ALPHA / DIGIT / "_" / "-" )  ; compared as sent, never percent-decoded
//! expires   = seconds
//! token     = kid "." mac
//! kid       = 1*16( ALPHA / DIGIT )               ; names the signing key
//! mac       = 43( ALPHA / DIGIT / "_" / "-" )     ; canonical base64url of 32 bytes, no padding
//! seconds   = "0" / ( %x31-39 *10DIGIT )          ; Unix time, at most eleven digits
//! ```
//!
//! `token` and `expires` are there exactly once. Four **claims** may be there, each at most once,
//! each 1 to 2,048 bytes when decoded:
//!
//! | name | value | means |
//! |---|---|---|
//! | `ip` | an address, or a CIDR without host bits | only this client, or one of this network |
//! | `not-before` | `seconds` | not earlier than this |
//! | `response-content-disposition` | `inline` or `attachment`, perhaps `;` and printable ASCII | the answer's `Content-Disposition` |
//! | `response-content-type` | `token/token`, perhaps with a `charset` | the answer's `Content-Type` |
//!
//! Any other name is unknown: it changes nothing, and its value is not even decoded. Names and known
//! values are percent-decoded once, and `+` stands for a space. Empty pieces (`&&`) are passed over. An
//! empty name before a `=`, a `%` without two hex digits, or invalid UTF-8 in a name or a known value
//! spoils the link. A name that was percent-encoded counts as the name it decodes to. Order means nothing.
//!
//! The last segment of the path is for programs that save a file under it. It is not signed, never
//! decoded, and changes nothing.
//!
//! # What is signed
//!
//! ```text
//! organization_key = HMAC-SHA256( signing key, "hallpass/v1/organization" LF
//!                                              organization LF
//!                                              organization epoch LF )
//! mac              = HMAC-SHA256( organization_key, "hallpass/v1/download" LF
//!                                                   organization LF
//!                                                   file LF
//!                                                   expires LF
//!                                                   link revision LF
//!                                                   *( name "=" encoded LF ) )  ; claims, sorted by name
//! ```
//!
//! LF is the one byte 0x0A; numbers are decimal without leading zeros. The organization's epoch and
//! the file's link revision are 0 until first raised; they are not in the URL. `encoded` is the
//! claim's decoded text, every byte of its UTF-8 but the unreserved ones of RFC 3986 (`A-Z a-z 0-9 -
//! . _ ~`) written as `%` and two upper-case hex digits. No field can hold an LF, so no two links
//! have one message. Values are signed, never the bytes of the URL: scheme, host, prefix, order of
//! parameters, and another spelling of the same value are free to change.
//!
//! A tenant that signs for itself is given its organization key, never the signing key.
//!
//! # Counted links
//!
//! A counted link opens no bytes: it starts a download, so many times and no more often. Its route and its label are
//! others, so that neither kind is ever good as the other; everything else is as above.
//!
//! ```text
//! url       = base "/v1/organizations/" id "/files/" id "/redeem" "?" query
//! mac       = HMAC-SHA256( organization_key, "hallpass/v1/counted" LF … )    ; the lines of a link
//! ```
//!
//! Three more claims are known there. `max-downloads` must be there.
//!
//! | name | value | means |
//! |---|---|---|
//! | `max-downloads` | a number from 1 to 1000000, in decimal without leading zeros | how many downloads it starts |
//! | `nonce` | 22 letters and digits | tells it from other links of the same file, claims and end |
//! | `redeem` | `get` or `post` | the method that starts a download; absent: `post` |
//!
//! A minter always writes a fresh `nonce`: two links of one file, claims and end are one link, and would share what they
//! allow.
//!
//! # Tickets
//!
//! A download that was started is fetched with its ticket, as often as its holder likes. Only a gateway makes one, so
//! it is signed with a key of its own, which is derived as an organization's is and handed to nobody.
//!
//! ```text
//! url         = base "/v1/organizations/" id "/tickets/" ticket "/" name
//! ticket      = kid "." expires "." rid "." mac   ; as sent, never percent-decoded
//! rid         = 22( ALPHA / DIGIT )               ; names the started download
//! gateway_key = HMAC-SHA256( signing key, "hallpass/v1/gateway" LF organization LF organization epoch LF )
//! mac         = HMAC-SHA256( gateway_key, "hallpass/v1/ticket" LF organization LF rid LF expires LF )
//! ```
//!
//! It has no claims, and no link revision. What its link says of the answer, and whether that link was revoked, is in
//! the row of the download, which nobody looks up before the MAC is good.
//!
//! # Shares
//!
//! A share is a row with a page, which its code names. The code is derived and not kept: the row has the SHA-256 of it,
//! by which it is found.
//!
//! ```text
//! url       = base "/s/" code
//! code      = 22( ALPHA / DIGIT )                 ; as sent, never percent-decoded
//! mac       = HMAC-SHA256( gateway_key, "hallpass/v1/share-code" LF organization LF share LF revision LF )
//! ```
//!
//! The MAC is one big-endian number N, and character i of the code, from 0 on, is digit (N / 62^i) mod 62 of `0-9`, `A-Z`,
//! `a-z`. The row says the share's id, its revision, and the kid and the epoch of the gateway's key. Under any other
//! epoch, or with a kid that is retired, the code is refused; so is that of an earlier revision, which no row has. A
//! share's **link id** is the first 12 characters of the MAC in base64url, as a link's is: it tells nothing of the code.
//!
//! Whoever gave the password of a share has a pass, the value of a cookie. It is good for that share, and for that
//! revision of its password.
//!
//! ```text
//! pass      = kid "." expires "." mac
//! mac       = HMAC-SHA256( gateway_key, "hallpass/v1/share-pass" LF organization LF share LF pass revision LF expires LF )
//! ```
//!
//! # Order of checks
//!
//! [`Keyring::verify`] does these, and the first that fails names the [`Rejection`]:
//!
//! 1. syntax: all of the grammar above but the values of claims;
//! 2. the kid: known, and not retired (an unknown one costs the same work as a wrong MAC: one derived key
//!    and one MAC, also where the organization's key was derived before);
//! 3. the MAC, compared once, in constant time, all 32 bytes;
//! 4. expiry: `now < expires`;
//! 5. far future: `expires - now` is at most the longest lifetime;
//! 6. the claims mean something;
//! 7. `not-before`;
//! 8. `ip`;
//! 9. the link is not denied. A link's name is its **link id**, the first 12 characters of `mac`.
//!
//! The caller tells none of these apart to a client. Only a [`Verified`] opens bytes, and only the
//! verifier makes one. A counted link has the same checks in [`Keyring::verify_counted`], and a ticket has the
//! first four and the last, with its own first 12 characters, in [`Keyring::verify_ticket`]. The code of a share has the
//! second, the third and the last in [`Keyring::verify_share`]; what else its row says is for the caller to check.
//!
//! # Recipe
//!
//! To sign: check the ids and the claims, build the message, take its HMAC, and write `not-before` if it
//! is claimed, then `expires`, then the other claims sorted by name, encoded as in the message, then
//! `token`. `not-before` is first because HTML reads `&not` as a sign of its own.
//!
//! Vectors, good and bad, are in `tests/vectors/`, a file for each kind; signers in other languages are in
//! `config/docs/sign-in-your-app.md`.
//!
//! # Example
//!
//! ```
//! use hallpass::model::id::{FileId, OrganizationId};
//! use hallpass::model::revocation::Revocations;
//! use hallpass::model::time::UnixSeconds;
//! use hallpass::sign::claims::Claims;
//! use hallpass::sign::grant::Grant;
//! use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
//! use hallpass::sign::secret::Secret;
//! use hallpass::sign::url;
//! use hallpass::sign::verify::{Attempt, Conditions, Rejection};
//!
//! let now = UnixSeconds::new(1_750_000_000).unwrap();
//! let key = SigningKey {
//!     kid: Kid::parse("k1").unwrap(),
//!     state: KeyState::Active,
//!     secret: Secret::published_example(b"hallpass-example-of-the-sign-page".to_vec()),
//!     created_at: now,
//! };
//! let keyring = Keyring::new(vec![key])?;
//! let grant = Grant {
//!     organization: OrganizationId::parse("org_1")?,
//!     file: FileId::parse("file_1")?,
//!     expires: now.plus(3600),
//!     claims: Claims::none(),
//! };
//! let link = keyring.mint(&grant, 0, 0).url("https://files.example.com");
//!
//! let (organization, file, query) = url::split(&link).unwrap();
//! let attempt = Attempt { organization, file, query };
//! let mut conditions = Conditions {
//!     now,
//!     lifetime_max: 86_400,
//!     not_before_leeway: 0,
//!     client: None,
//!     revocations: &Revocations::default(),
//! };
//! assert_eq!(keyring.verify(&attempt, &conditions)?.file().file(), "file_1");
//! conditions.now = now.plus(3600);
//! assert_eq!(keyring.verify(&attempt, &conditions).unwrap_err(), Rejection::Expired);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Keyring::verify`]: keyring::Keyring::verify
//! [`Keyring::verify_counted`]: keyring::Keyring::verify_counted
//! [`Keyring::verify_share`]: keyring::Keyring::verify_share
//! [`Keyring::verify_ticket`]: keyring::Keyring::verify_ticket
//! [`Rejection`]: verify::Rejection
//! [`Verified`]: verify::Verified

pub mod claims;
pub mod client_digest;
pub mod counted;
mod counted_claims;
pub mod derived;
mod encoding;
mod gateway_key;
pub mod grant;
pub mod keyring;
mod kid;
pub mod link_of_ticket;
pub mod log_hash;
mod mac;
mod message;
pub mod organization_key;
pub mod password;
pub mod query;
pub mod recognize;
pub mod secret;
pub mod share_code;
pub mod share_pass;
pub mod ticket;
mod token;
pub mod url;
pub mod verify;
