//! The keys of organizations that are derived from a signing key, and those that were derived already: two hashes
//! fewer for each link.

use std::fmt;
use std::sync::Arc;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::gateway_key;
use super::kid::Kid;
use super::mac::Keyed;
use super::organization_key;
use super::secret::Secret;
use crate::model::id::OrganizationId;

/// The most keys that are kept, about a quarter of a kilobyte each. Those used least make room.
pub const DERIVED_KEYS_MAX: usize = 4_096;

/// The kind of a key that is derived for one organization at one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// Its own key, which may be handed to it.
    Organization,
    /// The gateway's for it, which is handed to nobody.
    Gateway,
}

impl KeyKind {
    /// Derives a key of this kind.
    pub(super) fn derive(self, secret: &Secret, organization: &str, epoch: u64) -> Keyed {
        let bytes = match self {
            Self::Organization => organization_key::derive(secret, organization, epoch),
            Self::Gateway => gateway_key::derive(secret, organization, epoch),
        };
        Keyed::new(&*bytes)
    }
}

/// The keys of one kind that one keyring derived. It goes with its keyring, and a key of an earlier epoch is asked
/// for no more once the epoch was raised. A key that makes room, or goes with the keyring, is wiped.
pub(super) struct DerivedKeys(Cache<Name, Arc<Keyed>>);

/// The name of a derived key: all that it was derived from but the secret of its kid.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    kid: Kid,
    organization: OrganizationId,
    epoch: u64,
}

/// A borrowed [`Name`]; it has the same hash.
#[derive(Clone, Copy, Hash)]
pub(super) struct DerivedFrom<'a> {
    pub(super) kid: &'a Kid,
    pub(super) organization: &'a str,
    pub(super) epoch: u64,
}

impl DerivedKeys {
    pub(super) fn new() -> Self {
        Self(Cache::new(DERIVED_KEYS_MAX))
    }

    pub(super) fn get(&self, from: DerivedFrom<'_>) -> Option<Arc<Keyed>> {
        self.0.get(&from)
    }

    /// Keeps a key. Only for who has proven to be of the organization, with a good link or an API key:
    /// whoever else could make every other key go.
    pub(super) fn keep(
        &self,
        from: DerivedFrom<'_>,
        organization: &OrganizationId,
        key: Arc<Keyed>,
    ) {
        let name = Name {
            kid: from.kid.clone(),
            organization: organization.clone(),
            epoch: from.epoch,
        };
        self.0.insert(name, key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Equivalent<Name> for DerivedFrom<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        (self.kid, self.organization, self.epoch)
            == (&name.kid, name.organization.as_str(), name.epoch)
    }
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::FileId;
    use crate::model::redemption::RedemptionId;
    use crate::model::revocation::Revocations;
    use crate::model::time::UnixSeconds;
    use crate::sign::claims::Claims;
    use crate::sign::grant::Grant;
    use crate::sign::keyring::{KeyState, Keyring, SigningKey};
    use crate::sign::mac::work;
    use crate::sign::secret::Secret;
    use crate::sign::ticket::{TicketAttempt, TicketGrant};
    use crate::sign::url;
    use crate::sign::verify::{Attempt, Conditions};

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds::new(seconds).unwrap()
    }

    fn keyring() -> Keyring {
        let key = SigningKey {
            kid: Kid::parse("a").unwrap(),
            state: KeyState::Active,
            secret: Some(Secret::new((0..32).collect()).unwrap()),
            created_at: at(1),
        };
        let retired = SigningKey {
            kid: Kid::parse("retired").unwrap(),
            state: KeyState::Retired,
            secret: None,
            created_at: at(1),
        };
        Keyring::new(vec![key, retired]).unwrap()
    }

    fn link(organization: &str, epoch: u64) -> String {
        let grant = Grant {
            organization: OrganizationId::parse(organization).unwrap(),
            file: FileId::parse("f").unwrap(),
            expires: at(9),
            claims: Claims::none(),
        };
        keyring().mint(&grant, epoch, 0).url("")
    }

    /// Returns whether the link opens, at this epoch of its organization, and the number of keys that are kept then.
    fn verified(keyring: &Keyring, url: &str, epoch: u64) -> (bool, usize) {
        let (organization, file, query) = url::split(url).unwrap();
        let mut revocations = Revocations::default();
        let id = OrganizationId::parse(organization).unwrap();
        revocations.raise_epoch(&id, epoch);
        let attempt = Attempt {
            organization,
            file,
            query,
        };
        let conditions = Conditions {
            now: at(1),
            lifetime_max: 60,
            not_before_leeway: 0,
            client: None,
            revocations: &revocations,
        };
        let is_good = keyring.verify(&attempt, &conditions).is_ok();
        (is_good, keyring.derived.len())
    }

    #[test]
    fn only_a_good_link_leaves_a_key() {
        let keyring = keyring();
        let forged = link("a", 0).replace("organizations/a/", "organizations/b/");
        assert_eq!(verified(&keyring, &forged, 0), (false, 0));
        assert_eq!(verified(&keyring, &link("a", 0), 0), (true, 1));
        assert_eq!(verified(&keyring, &link("a", 0), 0), (true, 1));
        assert_eq!(verified(&keyring, &forged, 0), (false, 1));
        assert_eq!(verified(&keyring, &link("b", 0), 0), (true, 2));
    }

    /// The cost of a refusal does not tell an organization whose links were opened of late from any other.
    #[test]
    fn a_refused_link_costs_one_derived_key_and_one_mac_whether_or_not_a_key_is_kept() {
        let keyring = keyring();
        let good = link("a", 0);
        let forged = |from: &str, to: &str| good.replace(from, to);
        let refused = [
            forged("organizations/a/", "organizations/b/"),
            forged("files/f/", "files/g/"),
            forged("expires=9", "expires=8"),
            forged("token=a.", "token=unknown."),
            forged("token=a.", "token=retired."),
        ];
        let costs = |url: &str| work::of(|| verified(&keyring, url, 0).0);
        // The derived key is a MAC, too.
        for url in &refused {
            assert_eq!(costs(url), (false, (1, 2)), "{url} before");
        }
        assert_eq!(costs(&good), (true, (1, 2)), "the first good one");
        assert_eq!(costs(&good), (true, (0, 1)), "any other");
        for url in &refused {
            assert_eq!(costs(url), (false, (1, 2)), "{url} with a key kept");
        }
        assert_eq!(keyring.derived.len(), 1);
    }

    /// As of links. The key of the one kind is not the key of the other, and each has a cache of its own.
    #[test]
    fn a_refused_ticket_costs_one_derived_key_and_one_mac_too() {
        let keyring = keyring();
        let organization = OrganizationId::parse("a").unwrap();
        let grant = TicketGrant {
            organization: &organization,
            redemption: RedemptionId::parse(&"r".repeat(22)).unwrap(),
            expires: at(9),
        };
        let other = self::keyring();
        let good = other.mint_ticket(other.active(), &grant, 0).unwrap();
        let good = good.as_str();
        let revocations = Revocations::default();
        let conditions = Conditions {
            now: at(1),
            lifetime_max: 60,
            not_before_leeway: 0,
            client: None,
            revocations: &revocations,
        };
        let costs = |organization, ticket: &str| {
            let attempt = TicketAttempt {
                organization,
                ticket,
            };
            work::of(|| keyring.verify_ticket(&attempt, &conditions).is_ok())
        };
        let refused = [
            ("b", good.to_owned()),
            ("a", good.replace(".9.", ".8.")),
            ("a", good.replace("a.9", "unknown.9")),
            ("a", good.replace("a.9", "retired.9")),
        ];
        for (organization, ticket) in &refused {
            assert_eq!(
                costs(organization, ticket),
                (false, (1, 2)),
                "{ticket} before"
            );
        }
        assert_eq!(keyring.derived(KeyKind::Gateway).len(), 0);
        assert_eq!(costs("a", good), (true, (1, 2)), "the first good one");
        assert_eq!(costs("a", good), (true, (0, 1)), "any other");
        for (organization, ticket) in &refused {
            let cost = costs(organization, ticket);
            assert_eq!(cost, (false, (1, 2)), "{ticket} with a key kept");
        }
        assert_eq!(keyring.derived(KeyKind::Gateway).len(), 1);
        assert_eq!(keyring.derived.len(), 0);
    }

    #[test]
    fn a_raised_epoch_takes_no_key_of_before() {
        let keyring = keyring();
        assert_eq!(verified(&keyring, &link("a", 0), 0), (true, 1));
        assert_eq!(verified(&keyring, &link("a", 0), 1), (false, 1));
        assert_eq!(verified(&keyring, &link("a", 1), 1), (true, 2));
        assert_eq!(verified(&keyring, &link("a", 1), 0), (false, 2));
    }

    #[test]
    fn more_organizations_than_are_kept_are_verified_all_the_same() {
        let keyring = keyring();
        for number in 0..DERIVED_KEYS_MAX + 500 {
            let url = link(&format!("o{number}"), 0);
            let (is_good, kept) = verified(&keyring, &url, 0);
            assert!(is_good && kept <= DERIVED_KEYS_MAX, "{kept}");
        }
        assert!(verified(&keyring, &link("o0", 0), 0).0);
    }
}
