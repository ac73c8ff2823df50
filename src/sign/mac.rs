//! HMAC-SHA256, the one algorithm, and the two messages that go into it.

use sha2::Sha256;
use sha2::block_api::compress256;
use sha2::digest::Digest as _;
use zeroize::Zeroizing;

use super::claims::ClaimName;
use super::encoding::{Decimal, percent_encode};

/// Keeps a MAC over the one message from ever being good for the other, or for a later version.
const ORGANIZATION_LABEL: &str = "hallpass/v1/organization";
const DOWNLOAD_LABEL: &str = "hallpass/v1/download";

/// The bytes that SHA-256 takes at once (FIPS 180-4, §5.2.1).
const BLOCK_BYTES: usize = 64;

/// How much of a message is collected before the hash is given it: the whole message of most links.
const COLLECTED_BYTES: usize = 4 * BLOCK_BYTES;

/// SHA-256 between two blocks.
type State = [u32; 8];

/// SHA-256 before the first block (FIPS 180-4, §5.3.3).
const FIRST_STATE: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What stands behind the inner hash in the one block that follows the key's: a one bit, zeros, and how many
/// bits the key's block and the inner hash have (FIPS 180-4, §5.1.1).
const BEHIND_INNER: [u8; 32] = {
    let bits: u16 = 8 * (64 + 32);
    let mut end = [0; 32];
    let [first, .., high, low] = &mut end;
    *first = 0x80;
    [*high, *low] = bits.to_be_bytes();
    end
};

/// Where the pieces of a message go.
pub(super) trait Take {
    /// The next piece.
    fn take(&mut self, piece: &[u8]);

    /// The next piece, and the end of its line.
    fn take_line(&mut self, piece: &[u8]) {
        self.take(piece);
        self.take(b"\n");
    }
}

/// A message on its way into the hash, which is given as many blocks at once as are collected. The message
/// is no secret: whoever has the link can write it down.
pub(super) struct Collected {
    state: State,
    bytes: [u8; COLLECTED_BYTES],
    /// How many of them are there.
    length: usize,
    /// How many the hash has taken, those of the key too.
    taken: u64,
}

/// HMAC-SHA256 (RFC 2104) that has taken its key in, so that a message costs no more than itself: the two
/// states that the hash is in behind the key's block, the inner one and the outer one (§4). They are as
/// good as the key: they are lent and not cloned, wiped when dropped, and without a `Debug`. Each MAC begins
/// with them, and writes over them. Where a value is moved, the compiler may leave what it copied.
pub(super) struct Keyed {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
}

impl Keyed {
    /// Takes a key of any length in; of one that is longer than a block, its hash (RFC 2104, §2).
    pub(super) fn new(key: &[u8]) -> Self {
        #[cfg(test)]
        work::note(1, 0);
        if key.len() > BLOCK_BYTES {
            return Self::new(&*Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key))));
        }
        let behind = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_BYTES]);
            for (place, byte) in block.iter_mut().zip(key) {
                *place ^= byte;
            }
            let mut state = Zeroizing::new(FIRST_STATE);
            compress256(&mut state, std::slice::from_ref(&*block));
            state
        };
        Self {
            inner: behind(0x36),
            outer: behind(0x5c),
        }
    }

    /// The MAC of the message that `write` gives piece by piece. Allocates nothing.
    pub(super) fn mac(&self, write: impl FnOnce(&mut Collected)) -> [u8; 32] {
        #[cfg(test)]
        work::note(0, 1);
        let mut message = Collected::behind_key(&self.inner);
        write(&mut message);
        let mut state = *self.outer;
        let block = [message.finish(), BEHIND_INNER];
        compress256(&mut state, block.as_flattened().as_chunks().0);
        bytes(state)
    }
}

impl Collected {
    /// Nothing yet of what follows the block of a key.
    fn behind_key(state: &State) -> Self {
        Self {
            state: *state,
            bytes: [0; COLLECTED_BYTES],
            length: 0,
            taken: BLOCK_BYTES as u64,
        }
    }

    /// The hash of the whole. Behind the message stand a one bit, zeros, and its length in bits at the end
    /// of a block (FIPS 180-4, §5.1.1). Done in place: nothing of how it began is left elsewhere.
    fn finish(&mut self) -> [u8; 32] {
        let bits = 8 * (self.taken + self.length as u64);
        self.take(&[0x80]);
        let last = self.length % BLOCK_BYTES;
        let zeros = (2 * BLOCK_BYTES - 8 - last) % BLOCK_BYTES;
        self.take([0; BLOCK_BYTES].get(..zeros).unwrap_or_default());
        self.take(&bits.to_be_bytes());
        self.compress();
        bytes(self.state)
    }

    /// Gives the hash what is collected, which are whole blocks.
    fn compress(&mut self) {
        let collected = self.bytes.get(..self.length).unwrap_or_default();
        compress256(&mut self.state, collected.as_chunks().0);
        self.taken += self.length as u64;
        self.length = 0;
    }

    /// Takes a piece that there may be no room for.
    #[cold]
    fn take_and_compress(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let room = self.bytes.get_mut(self.length..).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            for (place, byte) in room.iter_mut().zip(now) {
                *place = *byte;
            }
            self.length += now.len();
            if self.length == COLLECTED_BYTES {
                self.compress();
            }
            rest = later;
        }
    }
}

impl Take for Collected {
    #[inline]
    fn take(&mut self, piece: &[u8]) {
        let end = self.length + piece.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(piece);
            self.length = end;
        } else {
            self.take_and_compress(piece);
        }
    }
}

/// The hash, behind the last block.
fn bytes(state: State) -> [u8; 32] {
    let mut hash = [0; 32];
    for (place, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    hash
}

/// What a signing key signs to become an organization's key.
pub(super) fn organization_message(organization: &str, epoch: u64, message: &mut impl Take) {
    let epoch = Decimal::new(epoch);
    message.take_line(ORGANIZATION_LABEL.as_bytes());
    message.take_line(organization.as_bytes());
    message.take_line(epoch.as_bytes());
}

/// What an organization's key signs to make a link. `expires` is in decimal, as it stands in the link; the
/// claims are decoded texts, sorted by name.
pub(super) fn download_message<'a>(
    organization: &str,
    file: &str,
    expires: &[u8],
    link_revision: u64,
    claims: impl Iterator<Item = (ClaimName, &'a str)>,
    message: &mut impl Take,
) {
    let revision = Decimal::new(link_revision);
    message.take_line(DOWNLOAD_LABEL.as_bytes());
    message.take_line(organization.as_bytes());
    message.take_line(file.as_bytes());
    message.take_line(expires);
    message.take_line(revision.as_bytes());
    for (name, text) in claims {
        message.take(name.as_str().as_bytes());
        message.take(b"=");
        percent_encode(text).for_each(|piece| message.take(piece.as_bytes()));
        message.take(b"\n");
    }
}

/// Counts the work of this thread, for the tests of what a refusal costs.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        static DONE: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
    }

    pub(super) fn note(keys: u32, macs: u32) {
        let (keys_before, macs_before) = DONE.get();
        DONE.set((keys_before + keys, macs_before + macs));
    }

    /// Returns how many keys were taken in, and how many MACs were made, while `work` was done.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, (u32, u32)) {
        let (keys, macs) = DONE.get();
        let done = work();
        let (keys_after, macs_after) = DONE.get();
        (done, (keys_after - keys, macs_after - macs))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hmac::{Hmac, KeyInit as _, Mac as _};
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
        let expires = expires.to_string();
        text(|of| {
            download_message(
                organization,
                file,
                expires.as_bytes(),
                *revision,
                claims,
                of,
            )
        })
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
        let whole = keyed.mac(|of| of.take(&message));
        for size in [1, 7, 63, 64, 65, 127, 128, 129, 255, 256, 257, 999] {
            let pieces = |of: &mut Collected| message.chunks(size).for_each(|piece| of.take(piece));
            assert_eq!(keyed.mac(pieces), whole, "{size}");
        }
    }

    /// The same MAC, as the library makes it.
    fn of_the_library(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.chain_update(message).finalize().into_bytes().into()
    }

    #[test]
    fn around_every_border_of_a_block_the_mac_is_the_librarys() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(700).collect();
        let lengths = (0..=260).chain(440..=520).chain([700]);
        for message in lengths.map(|length| &bytes[..length]) {
            let mac = Keyed::new(b"key").mac(|of| of.take(message));
            assert_eq!(mac, of_the_library(b"key", message), "{}", message.len());
        }
        for key in (0..=200).map(|length| &bytes[..length]) {
            let mac = Keyed::new(key).mac(|of| of.take(b"message"));
            assert_eq!(mac, of_the_library(key, b"message"), "{}", key.len());
        }
    }

    proptest! {
        #[test]
        fn any_message_in_any_pieces_has_the_librarys_mac(
            key in prop::collection::vec(any::<u8>(), 0..200),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        ) {
            let mac = Keyed::new(&key).mac(|of| pieces.iter().for_each(|piece| of.take(piece)));
            prop_assert_eq!(mac, of_the_library(&key, &pieces.concat()));
        }
    }

    #[test]
    fn no_organization_message_is_a_download_message() {
        let none = std::iter::empty;
        let download = text(|of| download_message("a", "b", b"0", 0, none(), of));
        assert_eq!(download, "hallpass/v1/download\na\nb\n0\n0\n");
        let organization = text(|of| organization_message("a", 0, of));
        assert_eq!(organization, "hallpass/v1/organization\na\n0\n");
    }
}
