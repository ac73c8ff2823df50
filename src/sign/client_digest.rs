//! The digest by which the client of a counted download is known again. Nothing of the client can be read from it, and
//! it says nothing of one client's downloads by two links.

use super::derived::KeyKind;
use super::keyring::{Keyring, Kid};
pub use super::message::ClientIdentity;
use super::message::{client_message, starter_message};
use crate::model::id::OrganizationId;
use crate::model::redemption::{RedemptionId, Subject};

/// The bytes of a client's digest.
pub const CLIENT_DIGEST_BYTES: usize = 16;

impl Keyring {
    /// Returns the digest of a client of `subject`, with the key of the gateway that the signing key `kid` gives for the
    /// organization at `epoch`. `None` if there is no such signing key, or it is retired.
    pub fn client_digest(
        &self,
        (kid, epoch): (&Kid, u64),
        organization: &OrganizationId,
        subject: &Subject,
        client: ClientIdentity<'_>,
    ) -> Option<[u8; CLIENT_DIGEST_BYTES]> {
        let secret = self.key(kid)?.secret.as_ref()?;
        let key = self.signer(KeyKind::Gateway, kid, secret, organization, epoch);
        let mac = key.mac(|message| client_message(subject.as_str(), client, message));
        mac.first_chunk().copied()
    }

    /// Returns the digest of the network that a download is started from, with the key of the gateway that the signing
    /// key `kid` gives for the organization at `epoch`. `None` if there is no such signing key, or it is retired.
    pub fn starter_digest(
        &self,
        (kid, epoch): (&Kid, u64),
        organization: &OrganizationId,
        redemption: RedemptionId,
        prefix: &str,
    ) -> Option<[u8; 32]> {
        let secret = self.key(kid)?.secret.as_ref()?;
        let key = self.signer(KeyKind::Gateway, kid, secret, organization, epoch);
        Some(key.mac(|message| starter_message(redemption.as_str(), prefix, message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::{Sha256Digest, hex};
    use crate::model::time::UnixSeconds;
    use crate::sign::keyring::{KeyState, SigningKey};
    use crate::sign::secret::Secret;

    fn keyring() -> Keyring {
        Keyring::new(vec![SigningKey {
            kid: Kid::parse("k1").unwrap(),
            state: KeyState::Active,
            secret: Some(Secret::new((0..32).collect()).unwrap()),
            created_at: UnixSeconds::EPOCH,
        }])
        .unwrap()
    }

    /// Made with Python's `hmac` from the formula.
    #[test]
    fn the_digests_are_those_of_the_formulas() {
        let keyring = keyring();
        let organization = OrganizationId::parse("org_123").unwrap();
        let subject = Subject::of_link(Sha256Digest::new([0xab; 32]));
        let digest = |client| {
            let kid = Kid::parse("k1").unwrap();
            let digest = keyring.client_digest((&kid, 3), &organization, &subject, client);
            hex(&digest.unwrap())
        };
        let cookie = ClientIdentity::Cookie("0123456789abcdefghijkl");
        assert_eq!(digest(cookie), "eab59145a6b7705d38235f033330c036");
        let address = ClientIdentity::Address {
            prefix: "192.0.2.1/32",
            agent: "curl/8.5.0",
        };
        assert_eq!(digest(address), "2a1768f993a41329268dd02af823e44f");
        let unknown = Kid::parse("k2").unwrap();
        let none = keyring.client_digest((&unknown, 3), &organization, &subject, cookie);
        assert_eq!(none, None);
        let rid = RedemptionId::parse("7hGf3KpQ9sTz0aBcDeFgHi").unwrap();
        let starter = |kid: &str| {
            let kid = Kid::parse(kid).unwrap();
            keyring.starter_digest((&kid, 3), &organization, rid, "192.0.2.1/32")
        };
        assert_eq!(
            hex(&starter("k1").unwrap()),
            "16c8653e15e15452d16ecf59e6e0e9b4f8bc10f2b1a6b08dbbbab903a20bb30e"
        );
        assert_eq!(starter("k2"), None);
    }
}
