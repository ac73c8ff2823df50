//! The messages that are signed: a label, then the positional lines of its kind, then the claims, if the kind has any.
//!
//! A label fixes how many positional lines follow. A claim's line alone holds a `=`: ids, numbers and drawn names have
//! none. No field can hold an LF. So no message of one kind is one of another kind, and no two links of one kind have
//! one message.
//!
//! | label | positional lines | key | claims |
//! |---|---|---|---|
//! | `hallpass/v1/organization` | organization, epoch | signing key | |
//! | `hallpass/v1/gateway` | organization, epoch | signing key | |
//! | `hallpass/v1/download` | organization, file, expires, link revision | organization's key | those of a link |
//! | `hallpass/v1/counted` | organization, file, expires, link revision | organization's key | those of a counted link |
//! | `hallpass/v1/ticket` | organization, redemption, expires | gateway's key | |
//! | `hallpass/v1/share-code` | organization, share, revision | gateway's key | |
//! | `hallpass/v1/share-pass` | organization, share, pass revision, expires | gateway's key | |
//! | `hallpass/v1/starter` | redemption, prefix | gateway's key | |
//! | `hallpass/v1/client` | subject, `cookie`, value; or subject, `address`, prefix, agent | gateway's key | |

use hmac::digest::Update;

use super::encoding::percent_encode;
use crate::model::id::{OrganizationId, ShareId};

const ORGANIZATION_LABEL: &str = "hallpass/v1/organization";
const GATEWAY_LABEL: &str = "hallpass/v1/gateway";
const TICKET_LABEL: &str = "hallpass/v1/ticket";
const SHARE_CODE_LABEL: &str = "hallpass/v1/share-code";
const SHARE_PASS_LABEL: &str = "hallpass/v1/share-pass";
const STARTER_LABEL: &str = "hallpass/v1/starter";
const CLIENT_LABEL: &str = "hallpass/v1/client";
/// The label of a link that opens bytes.
pub(super) const DOWNLOAD_LABEL: &str = "hallpass/v1/download";
/// The label of a link whose downloads are counted.
pub(super) const COUNTED_LABEL: &str = "hallpass/v1/counted";

/// Writes the message that a signing key signs to become an organization's key.
pub(super) fn organization_message(organization: &str, epoch: u64, message: &mut impl Update) {
    key_message(ORGANIZATION_LABEL, organization, epoch, message);
}

/// Writes the message that a signing key signs to become the key of the gateway for an organization.
pub(super) fn gateway_message(organization: &str, epoch: u64, message: &mut impl Update) {
    key_message(GATEWAY_LABEL, organization, epoch, message);
}

fn key_message(label: &str, organization: &str, epoch: u64, message: &mut impl Update) {
    write_line(message, label.as_bytes());
    write_line(message, organization.as_bytes());
    write_line(message, itoa::Buffer::new().format(epoch).as_bytes());
}

/// What a client is known by. It has no `Debug`: an address is nobody's business.
#[derive(Clone, Copy)]
pub enum ClientIdentity<'a> {
    /// The value of the cookie that its page set.
    Cookie(&'a str),
    /// Its network and the name that its program has for itself.
    Address {
        /// The network, with its length: `192.0.2.1/32` or `2001:db8::/64`.
        prefix: &'a str,
        /// The value of its `User-Agent`. No LF is in it.
        agent: &'a str,
    },
}

/// The positional lines of a link.
#[derive(Clone, Copy)]
pub(super) struct LinkLines<'a> {
    pub(super) organization: &'a str,
    pub(super) file: &'a str,
    /// In decimal, as it stands in the link.
    pub(super) expires: &'a [u8],
    pub(super) link_revision: u64,
}

/// Writes the message that an organization's key signs to make a link of the kind that the label is of, up to its claims.
/// [`claim_lines`] follow.
pub(super) fn link_message(label: &str, lines: LinkLines<'_>, message: &mut impl Update) {
    write_line(message, label.as_bytes());
    write_line(message, lines.organization.as_bytes());
    write_line(message, lines.file.as_bytes());
    write_line(message, lines.expires);
    let mut digits = itoa::Buffer::new();
    write_line(message, digits.format(lines.link_revision).as_bytes());
}

/// Returns the lines of a link's claims, which are decoded texts, sorted by name. Without claims it allocates nothing.
pub(super) fn claim_lines(claims: impl Iterator<Item = (&'static str, impl AsRef<str>)>) -> String {
    let mut lines = String::new();
    for (name, text) in claims {
        let text = text.as_ref();
        // A byte that is escaped takes three.
        lines.reserve(name.len() + 3 * text.len() + 2);
        lines.push_str(name);
        lines.push('=');
        lines.extend(percent_encode(text));
        lines.push('\n');
    }
    lines
}

/// Writes the message that the gateway's key signs to make a ticket. `expires` is in decimal.
pub(super) fn ticket_message(
    organization: &str,
    redemption: &str,
    expires: &[u8],
    message: &mut impl Update,
) {
    write_line(message, TICKET_LABEL.as_bytes());
    write_line(message, organization.as_bytes());
    write_line(message, redemption.as_bytes());
    write_line(message, expires);
}

/// Writes the message whose MAC the code of a share is taken from.
pub(super) fn share_code_message(
    organization: &str,
    share: &str,
    revision: u64,
    message: &mut impl Update,
) {
    write_line(message, SHARE_CODE_LABEL.as_bytes());
    write_line(message, organization.as_bytes());
    write_line(message, share.as_bytes());
    write_line(message, itoa::Buffer::new().format(revision).as_bytes());
}

/// What a share's pass is good for.
#[derive(Clone, Copy, Debug)]
pub struct PassTerms<'a> {
    /// The organization that owns the share.
    pub organization: &'a OrganizationId,
    /// The share.
    pub share: &'a ShareId,
    /// Raised by each change of its password, and by each rotation.
    pub pass_revision: u64,
}

/// Writes the message that the gateway's key signs to make a pass. `expires` is in decimal.
pub(super) fn share_pass_message(of: &PassTerms<'_>, expires: &[u8], message: &mut impl Update) {
    write_line(message, SHARE_PASS_LABEL.as_bytes());
    write_line(message, of.organization.as_str().as_bytes());
    write_line(message, of.share.as_str().as_bytes());
    let mut digits = itoa::Buffer::new();
    write_line(message, digits.format(of.pass_revision).as_bytes());
    write_line(message, expires);
}

/// Writes the message whose MAC the network that started a download is known by again.
pub(super) fn starter_message(redemption: &str, prefix: &str, message: &mut impl Update) {
    write_line(message, STARTER_LABEL.as_bytes());
    write_line(message, redemption.as_bytes());
    write_line(message, prefix.as_bytes());
}

/// Writes the message whose MAC a client of a counted link is known by again.
pub(super) fn client_message(subject: &str, client: ClientIdentity<'_>, message: &mut impl Update) {
    write_line(message, CLIENT_LABEL.as_bytes());
    write_line(message, subject.as_bytes());
    match client {
        ClientIdentity::Cookie(value) => {
            write_line(message, b"cookie");
            write_line(message, value.as_bytes());
        }
        ClientIdentity::Address { prefix, agent } => {
            write_line(message, b"address");
            write_line(message, prefix.as_bytes());
            write_line(message, agent.as_bytes());
        }
    }
}

/// Writes one field and the end of its line.
fn write_line(message: &mut impl Update, field: &[u8]) {
    message.update(field);
    message.update(b"\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::sign::claims::ClaimName;
    use crate::sign::counted::CountedClaimName;

    /// A message as a whole.
    struct Whole(Vec<u8>);

    impl Update for Whole {
        fn update(&mut self, piece: &[u8]) {
            self.0.extend_from_slice(piece);
        }
    }

    type Texts = BTreeMap<&'static str, String>;

    /// What goes into a message, of each kind that there is.
    #[derive(Clone, Debug, PartialEq)]
    enum Signed {
        OrganizationKey(String, u64),
        GatewayKey(String, u64),
        Download(Link),
        Counted(Link),
        Ticket(String, String, u64),
        ShareCode(String, String, u64),
        SharePass(String, String, u64, u64),
        Starter(String, String),
        Cookie(String, String),
        Address(String, String, String),
    }

    /// The organization, the file, the end, the link revision and the claims.
    type Link = (String, String, u64, u64, Texts);

    impl Signed {
        fn message(&self) -> String {
            let link = |label, (organization, file, expires, link_revision, texts): &Link| {
                let expires = expires.to_string();
                let lines = LinkLines {
                    organization,
                    file,
                    expires: expires.as_bytes(),
                    link_revision: *link_revision,
                };
                let claims = texts.iter().map(|(name, text)| (*name, text));
                text(|of| link_message(label, lines, of)) + &claim_lines(claims)
            };
            match self {
                Self::OrganizationKey(organization, epoch) => {
                    text(|of| organization_message(organization, *epoch, of))
                }
                Self::GatewayKey(organization, epoch) => {
                    text(|of| gateway_message(organization, *epoch, of))
                }
                Self::Download(lines) => link(DOWNLOAD_LABEL, lines),
                Self::Counted(lines) => link(COUNTED_LABEL, lines),
                Self::Cookie(subject, value) => {
                    text(|of| client_message(subject, ClientIdentity::Cookie(value), of))
                }
                Self::Address(subject, prefix, agent) => {
                    let client = ClientIdentity::Address { prefix, agent };
                    text(|of| client_message(subject, client, of))
                }
                Self::ShareCode(organization, share, revision) => {
                    text(|of| share_code_message(organization, share, *revision, of))
                }
                Self::SharePass(organization, share, pass_revision, expires) => {
                    let of = PassTerms {
                        organization: &organization.parse().unwrap(),
                        share: &share.parse().unwrap(),
                        pass_revision: *pass_revision,
                    };
                    let expires = expires.to_string();
                    text(|message| share_pass_message(&of, expires.as_bytes(), message))
                }
                Self::Starter(redemption, prefix) => {
                    text(|of| starter_message(redemption, prefix, of))
                }
                Self::Ticket(organization, redemption, expires) => {
                    let expires = expires.to_string();
                    text(|of| ticket_message(organization, redemption, expires.as_bytes(), of))
                }
            }
        }
    }

    fn text(write: impl FnOnce(&mut Whole)) -> String {
        let mut whole = Whole(Vec::new());
        write(&mut whole);
        String::from_utf8(whole.0).unwrap()
    }

    fn texts(names: Vec<&'static str>) -> impl Strategy<Value = Texts> {
        let name = prop::sample::select(names);
        prop::collection::btree_map(name, "[a1=\n%2:é]{1,3}", 0..4)
    }

    fn links(names: Vec<&'static str>) -> impl Strategy<Value = Link> {
        (
            "[a1_-]{1,2}",
            "[a1_-]{1,2}",
            0_u64..12,
            0_u64..3,
            texts(names),
        )
    }

    /// Few letters, small numbers and the bytes that separate fields: collisions, if there are any,
    /// are near.
    fn signed() -> impl Strategy<Value = Signed> {
        let id = "[a1_-]{1,2}";
        let plain = ClaimName::ALL.map(ClaimName::as_str).to_vec();
        let counted = CountedClaimName::ALL.map(CountedClaimName::as_str).to_vec();
        prop_oneof![
            (id, 0_u64..12).prop_map(|(of, epoch)| Signed::OrganizationKey(of, epoch)),
            (id, 0_u64..12).prop_map(|(of, epoch)| Signed::GatewayKey(of, epoch)),
            links(plain).prop_map(Signed::Download),
            links(counted).prop_map(Signed::Counted),
            (id, "[a1]{1,2}", 0_u64..12).prop_map(|(of, rid, end)| Signed::Ticket(of, rid, end)),
            (id, id, 0_u64..12).prop_map(|(of, share, no)| Signed::ShareCode(of, share, no)),
            (id, id, 0_u64..12, 0_u64..12)
                .prop_map(|(of, share, no, end)| Signed::SharePass(of, share, no, end)),
            ("[a1]{1,2}", "[a1/]{1,2}").prop_map(|(rid, at)| Signed::Starter(rid, at)),
            (id, "[a1]{1,2}").prop_map(|(of, value)| Signed::Cookie(of, value)),
            (id, "[a1/]{1,2}", "[a1=]{1,2}").prop_map(|(of, at, by)| Signed::Address(of, at, by)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn distinct_inputs_of_any_kinds_never_share_a_message(one in signed(), other in signed()) {
            prop_assert_eq!(one == other, one.message() == other.message());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_message_tells_its_kind_by_its_first_line(link in links(vec!["ip", "max-downloads"]), rid in "[a1]{1,3}") {
            let (organization, _, expires, ..) = link.clone();
            let all = [
                Signed::OrganizationKey(organization.clone(), expires),
                Signed::GatewayKey(organization.clone(), expires),
                Signed::Download(link.clone()),
                Signed::Counted(link),
                Signed::Ticket(organization.clone(), rid.clone(), expires),
                Signed::ShareCode(organization.clone(), rid.clone(), expires),
                Signed::SharePass(organization, rid.clone(), expires, expires),
                Signed::Starter(rid.clone(), rid),
            ];
            let mut labels: Vec<String> = all
                .iter()
                .map(|signed| signed.message().lines().next().unwrap().to_owned())
                .collect();
            labels.sort();
            labels.dedup();
            prop_assert_eq!(labels.len(), all.len());
        }

        #[test]
        fn a_moved_border_changes_the_message(text in "[a-z0-9]{3,30}", cut in 1_usize..30, other in 1_usize..30) {
            let (cut, other) = (cut.min(text.len() - 1), other.min(text.len() - 1));
            let at = |cut: usize| {
                let (organization, file) = text.split_at(cut);
                let link = (organization.to_owned(), file.to_owned(), 1, 1, BTreeMap::new());
                Signed::Download(link).message()
            };
            prop_assert_eq!(cut == other, at(cut) == at(other));
        }
    }

    #[test]
    fn messages_are_as_specified() {
        let link = || ("a".into(), "b".into(), 0, 0, Texts::new());
        let cases = [
            (
                Signed::OrganizationKey("a".into(), 0),
                "hallpass/v1/organization\na\n0\n",
            ),
            (
                Signed::GatewayKey("a".into(), 0),
                "hallpass/v1/gateway\na\n0\n",
            ),
            (
                Signed::Download(link()),
                "hallpass/v1/download\na\nb\n0\n0\n",
            ),
            (Signed::Counted(link()), "hallpass/v1/counted\na\nb\n0\n0\n"),
            (
                Signed::Cookie("la".into(), "v".into()),
                "hallpass/v1/client\nla\ncookie\nv\n",
            ),
            (
                Signed::Address("la".into(), "192.0.2.1/32".into(), "curl/8".into()),
                "hallpass/v1/client\nla\naddress\n192.0.2.1/32\ncurl/8\n",
            ),
            (
                Signed::Ticket("a".into(), "r".into(), 7),
                "hallpass/v1/ticket\na\nr\n7\n",
            ),
            (
                Signed::ShareCode("a".into(), "s".into(), 7),
                "hallpass/v1/share-code\na\ns\n7\n",
            ),
            (
                Signed::SharePass("a".into(), "s".into(), 2, 7),
                "hallpass/v1/share-pass\na\ns\n2\n7\n",
            ),
            (
                Signed::Starter("r".into(), "192.0.2.1/32".into()),
                "hallpass/v1/starter\nr\n192.0.2.1/32\n",
            ),
        ];
        for (signed, message) in cases {
            assert_eq!(signed.message(), message);
        }
    }
}
