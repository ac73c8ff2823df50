//! HMAC-SHA256, the one algorithm, and the two messages that go into it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::claims::ClaimName;
use super::encoding::{Decimal, percent_encode};
use crate::model::time::UnixSeconds;

/// Keeps a MAC over the one message from ever being good for the other, or for a later version.
const ORGANIZATION_LABEL: &str = "hallpass/v1/organization";
const DOWNLOAD_LABEL: &str = "hallpass/v1/download";

/// How much of a message is collected before the hash is given it: the whole message of most links.
const COLLECTED_BYTES: usize = 256;

/// Where the pieces of a message go.
pub(super) trait Take {
    /// The next piece.
    fn take(&mut self, piece: &[u8]);
}

/// A message on its way into the hash, which is given it in as few pieces as can be.
pub(super) struct Collected {
    mac: Hmac<Sha256>,
    bytes: [u8; COLLECTED_BYTES],
    length: usize,
}

/// HMAC-SHA256 (RFC 2104) that has taken its key in, so that a message costs no more than itself. It is
/// as good as the key: wiped when dropped, and without a `Debug`.
#[derive(Clone)]
pub(super) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// Takes a key of any length in.
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of every length (RFC 2104, §2)"
    )]
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("any key length is good"))
    }

    /// The MAC of the message that `write` gives piece by piece. Allocates nothing.
    pub(super) fn mac(self, write: impl FnOnce(&mut Collected)) -> [u8; 32] {
        let mut message = Collected {
            mac: self.0,
            bytes: [0; COLLECTED_BYTES],
            length: 0,
        };
        write(&mut message);
        message.flush();
        message.mac.finalize().into_bytes().into()
    }
}

impl Collected {
    fn flush(&mut self) {
        let collected = self.bytes.get(..self.length).unwrap_or_default();
        self.mac.update(collected);
        self.length = 0;
    }
}

impl Take for Collected {
    fn take(&mut self, piece: &[u8]) {
        let end = self.length + piece.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(piece);
            self.length = end;
        } else {
            self.flush();
            self.mac.update(piece);
        }
    }
}

/// What a signing key signs to become an organization's key.
pub(super) fn organization_message(organization: &str, epoch: u64, message: &mut impl Take) {
    let epoch = Decimal::new(epoch);
    for line in [
        ORGANIZATION_LABEL.as_bytes(),
        organization.as_bytes(),
        epoch.as_bytes(),
    ] {
        message.take(line);
        message.take(b"\n");
    }
}

/// What an organization's key signs to make a link. The claims are decoded texts, sorted by name.
pub(super) fn download_message<'a>(
    organization: &str,
    file: &str,
    expires: UnixSeconds,
    link_revision: u64,
    claims: impl Iterator<Item = (ClaimName, &'a str)>,
    message: &mut impl Take,
) {
    let (expires, revision) = (Decimal::new(expires.get()), Decimal::new(link_revision));
    for line in [
        DOWNLOAD_LABEL.as_bytes(),
        organization.as_bytes(),
        file.as_bytes(),
        expires.as_bytes(),
        revision.as_bytes(),
    ] {
        message.take(line);
        message.take(b"\n");
    }
    for (name, text) in claims {
        message.take(name.as_str().as_bytes());
        message.take(b"=");
        percent_encode(text).for_each(|piece| message.take(piece.as_bytes()));
        message.take(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::digest::hex;

    impl Take for Vec<u8> {
        fn take(&mut self, piece: &[u8]) {
            self.extend_from_slice(piece);
        }
    }

    #[test]
    fn rfc_4231_vectors_hold() {
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                counting,
                vec![0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size \
                  data. The key needs to be hashed before being used by the HMAC algorithm."
                    .to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&Keyed::new(&key).mac(|of| of.take(&message))), expected);
        }
    }

    type Inputs = (String, String, u64, u64, BTreeMap<ClaimName, String>);

    fn message(inputs: &Inputs) -> String {
        let (organization, file, expires, revision, claims) = inputs;
        let claims = claims.iter().map(|(name, text)| (*name, text.as_str()));
        let expires = UnixSeconds::new(*expires).unwrap();
        text(|of| download_message(organization, file, expires, *revision, claims, of))
    }

    /// A message as a whole.
    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut whole = Vec::new();
        write(&mut whole);
        String::from_utf8(whole).unwrap()
    }

    /// Few letters, small numbers and the bytes that separate fields: collisions, if there are any,
    /// are near.
    fn inputs() -> impl Strategy<Value = Inputs> {
        let id = "[a1_-]{1,4}";
        let claim = prop::sample::select(ClaimName::ALL.to_vec());
        let claims = prop::collection::btree_map(claim, "[a1=\n%2:é]{1,5}", 0..4);
        (id, id, 0_u64..120, 0_u64..120, claims)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn distinct_inputs_never_share_a_message(one in inputs(), other in inputs()) {
            prop_assert_eq!(one == other, message(&one) == message(&other));
        }

        #[test]
        fn a_moved_border_changes_the_message(text in "[a-z0-9]{3,30}", cut in 1_usize..30, other in 1_usize..30) {
            let (cut, other) = (cut.min(text.len() - 1), other.min(text.len() - 1));
            let at = |cut: usize| {
                let (organization, file) = text.split_at(cut);
                (organization.to_owned(), file.to_owned(), 1, 1, BTreeMap::new())
            };
            prop_assert_eq!(cut == other, message(&at(cut)) == message(&at(other)));
        }
    }

    #[test]
    fn a_message_in_pieces_has_the_mac_of_the_whole() {
        let message: Vec<u8> = (0..1_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let keyed = Keyed::new(b"key");
        let whole = keyed.clone().mac(|of| of.take(&message));
        for size in [1, 7, 63, 64, 65, 127, 128, 129, 255, 256, 257, 999] {
            let pieces = |of: &mut Collected| message.chunks(size).for_each(|piece| of.take(piece));
            assert_eq!(keyed.clone().mac(pieces), whole, "{size}");
        }
    }

    #[test]
    fn no_organization_message_is_a_download_message() {
        let none = std::iter::empty;
        let download = text(|of| download_message("a", "b", UnixSeconds::EPOCH, 0, none(), of));
        assert_eq!(download, "hallpass/v1/download\na\nb\n0\n0\n");
        let organization = text(|of| organization_message("a", 0, of));
        assert_eq!(organization, "hallpass/v1/organization\na\n0\n");
    }
}
