//! The key that signs for one organization what only a gateway makes.
//!
//! It never leaves the gateway: an organization's key may lie with its tenant, who must not be able to make a ticket.

use zeroize::Zeroizing;

use super::message::gateway_message;
use super::secret::Secret;

/// The bytes of the key that `secret` gives the gateway for an organization at an epoch.
pub(super) fn derive(secret: &Secret, organization: &str, epoch: u64) -> Zeroizing<[u8; 32]> {
    let keyed = secret.keyed();
    Zeroizing::new(keyed.mac(|message| gateway_message(organization, epoch, message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::organization_key;

    /// Made with Python's `hmac` from the formula.
    #[test]
    fn the_key_is_the_one_of_the_formula_and_no_organization_s() {
        let secret = Secret::new((0..32).collect()).unwrap();
        let key = derive(&secret, "org_123", 3);
        assert_eq!(
            crate::model::digest::hex(&*key),
            "1bdb739f138a5b8427810a44e66653cca27ab30a742b3ec2b49454f4b4ad063d"
        );
        assert_ne!(*key, *organization_key::derive(&secret, "org_123", 3));
        assert_ne!(*key, *derive(&secret, "org_123", 2));
        assert_ne!(*key, *derive(&secret, "org_124", 3));
    }
}
