//! HMAC-SHA256 (RFC 2104), the one algorithm of whatever is signed.

use hmac::digest::Update;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The bytes of a message that are put together before the library gets them: as long as the messages of most links.
const GATHERED_BYTES: usize = 256;

/// A MAC key that is prepared once for any number of messages: the library hashes the key's own block here, and
/// each message starts from a clone of that state. It is as good as the key: it is lent and not cloned, has no
/// `Debug`, and the library wipes it, and each message's clone, on drop. The block in which the library pads the key
/// while it prepares it is on the stack, and is not wiped. Where a value is moved, the compiler may leave a copy of it
/// behind.
pub(super) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// Prepares a key of any length.
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes a key of any length (RFC 2104, §2)"
    )]
    pub(super) fn new(key: &[u8]) -> Self {
        #[cfg(test)]
        work::note(1, 0);
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// Returns the MAC of the message that `write` gives piece by piece. Allocates nothing.
    pub(super) fn mac(&self, write: impl FnOnce(&mut Message<'_>)) -> [u8; 32] {
        #[cfg(test)]
        work::note(0, 1);
        let mut message = Message {
            key: &self.0,
            begun: None,
            gathered: [0; GATHERED_BYTES],
            length: 0,
        };
        write(&mut message);
        message.finish()
    }
}

/// A message whose MAC is being made. The library counts and buffers each piece that it gets, which for a field and the end
/// of its line costs more than their hash: so they are gathered first. A short one is gathered as a whole, and has no copy of
/// the key's state until then.
pub(super) struct Message<'k> {
    key: &'k Hmac<Sha256>,
    /// The state behind what the library was given.
    begun: Option<Hmac<Sha256>>,
    gathered: [u8; GATHERED_BYTES],
    /// The number of bytes gathered.
    length: usize,
}

impl Message<'_> {
    /// Returns the key's state, or the one behind what the library was given.
    fn begun(&mut self) -> Hmac<Sha256> {
        self.begun.take().unwrap_or_else(|| self.key.clone())
    }

    #[expect(
        clippy::expect_used,
        reason = "no more is gathered than there is room for"
    )]
    fn gathered(&self) -> &[u8] {
        self.gathered
            .get(..self.length)
            .expect("as much as there is room for")
    }

    fn finish(mut self) -> [u8; 32] {
        let begun = self.begun().chain_update(self.gathered());
        begun.finalize().into_bytes().into()
    }
}

impl Update for Message<'_> {
    fn update(&mut self, piece: &[u8]) {
        if self.length + piece.len() > GATHERED_BYTES {
            self.begun = Some(self.begun().chain_update(self.gathered()));
            self.length = 0;
        }
        match self
            .gathered
            .get_mut(self.length..self.length + piece.len())
        {
            Some(room) => {
                room.copy_from_slice(piece);
                self.length += piece.len();
            }
            // Longer than all that is gathered.
            None => self.begun = Some(self.begun().chain_update(piece)),
        }
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
    use hmac::block_api::HmacCore;
    use hmac::digest::Update;
    use hmac::digest::block_api::{Buffer, CoreProxy};
    use zeroize::ZeroizeOnDrop;

    use super::*;
    use crate::model::digest::hex;

    /// Both parts of the library's state, the hash and the bytes that it buffers, are wiped on drop. The features
    /// `zeroize` of `hmac` and `sha2` see to it.
    #[test]
    fn a_prepared_key_is_wiped_on_drop() {
        const fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<<Sha256 as CoreProxy>::Core>();
        is_wiped::<Buffer<HmacCore<Sha256>>>();
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
            assert_eq!(
                hex(&Keyed::new(&key).mac(|of| Update::update(of, &message))),
                expected
            );
        }
    }

    #[test]
    fn a_mac_is_the_same_however_its_message_comes_in() {
        let message: Vec<u8> = (0..3 * GATHERED_BYTES)
            .map(|at| at.to_le_bytes()[0])
            .collect();
        let key = Keyed::new(b"key");
        let whole = key.mac(|of| Update::update(of, &message));
        for length in 1..=message.len() {
            let pieces = message.chunks(length);
            let mac = key.mac(|of| pieces.for_each(|piece| Update::update(of, piece)));
            assert_eq!(mac, whole, "in pieces of {length}");
        }
    }
}
