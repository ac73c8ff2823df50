//! Shares over a real catalogue: what opens, and what must not.

use std::net::IpAddr;

use super::*;
use crate::catalog::Catalog as _;
use crate::catalog::contract::{file, file_id, organization};
use crate::catalog::shares::Shares as _;
use crate::catalog::testing::TestCatalog;
use crate::gateway::clock::ManualClock;
use crate::gateway::testing::{CACHE, NOW, gateway_at, keyring, memory_blobs};
use crate::model::key::Scopes;
use crate::model::time::UnixSeconds;
use crate::sign::keyring::{KeyState, Keyring, SigningKey};
use crate::sign::secret::Secret;
use crate::sign::verify::Rejection;

mod archives;
mod closing;
mod fields;

/// An organization with three files, and a gateway of it.
struct Place {
    catalog: Arc<TestCatalog>,
    gateway: Gateway,
    clock: Arc<ManualClock>,
    operator: ShareManager,
    owner: OrganizationId,
}

impl Place {
    async fn new() -> Self {
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "org_1").await;
        for id in ["a", "b", "c"] {
            catalog.add_file(&file(&owner, id, 1)).await.unwrap();
        }
        let clock = Arc::new(ManualClock::at(NOW * 1_000));
        Self {
            gateway: gateway_at(
                Arc::clone(&catalog) as _,
                memory_blobs(),
                CACHE,
                Arc::clone(&clock) as _,
            ),
            catalog,
            clock,
            operator: ShareManager::Operator(owner.clone()),
            owner,
        }
    }

    /// Another gateway on the same catalogue.
    fn other_gateway(&self) -> Gateway {
        gateway_at(
            Arc::clone(&self.catalog) as _,
            memory_blobs(),
            CACHE,
            Arc::clone(&self.clock) as _,
        )
    }

    async fn made(&self, fields: ShareFields) -> ShareView {
        let made = self.gateway.create_share(&self.operator, fields).await;
        made.unwrap()
    }

    async fn edited(&self, id: &ShareId, fields: ShareFields) -> ShareView {
        let edited = self.gateway.edit_share(&self.operator, id, fields).await;
        edited.unwrap()
    }

    /// Opens the share of this address, for nobody known.
    async fn opened(&self, url: &str) -> Result<OpenShare, Rejection> {
        opened(&self.gateway, url, None).await
    }
}

async fn opened(
    gateway: &Gateway,
    url: &str,
    client: Option<IpAddr>,
) -> Result<OpenShare, Rejection> {
    let (_, code) = url.rsplit_once("/s/").unwrap();
    match gateway.open_share(code, client).await {
        Ok(open) => Ok(open),
        Err(Refusal::Link(why)) => Err(why),
        Err(other) => panic!("{other:?}"),
    }
}

fn of_files(files: &[&str]) -> ShareFields {
    ShareFields {
        files: Some(files.iter().map(|id| (*id).to_owned()).collect()),
        ..ShareFields::default()
    }
}

fn url(view: &ShareView) -> String {
    view.url.clone().unwrap()
}

#[track_caller]
fn fault<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> String {
    match refused {
        Err(Refusal::Field(fault)) => fault.field,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_share_is_made_and_opens_by_its_address() {
    let place = Place::new().await;
    let made = place.made(of_files(&["b", "a"])).await;
    assert_eq!(made.standing, ShareStanding::Active);
    assert_eq!(made.share.expires.unwrap().get(), NOW + 2_592_000);
    let paths: Vec<&str> = made.files.iter().map(|of| &*of.shared.path).collect();
    assert_eq!(paths, ["report.txt", "report (2).txt"]);
    assert!(
        made.files
            .iter()
            .all(|of| of.standing == FileStanding::Ready)
    );
    let url = url(&made);
    assert!(url.starts_with("http://localhost/s/"), "{url}");
    assert_eq!(url.len(), "http://localhost/s/".len() + 22);
    let open = place.opened(&url).await.unwrap();
    assert_eq!(open.share(), &made.share);
    assert_eq!(Some(open.link_id()), made.link_id);
    assert_eq!(open.file(2).unwrap().file, file_id("a"));
    assert!(open.file(0).is_none() && open.file(3).is_none());
    let record = place.gateway.file_of_share(&open, open.file(1).unwrap());
    assert_eq!(record.await.unwrap().id, file_id("b"));
    assert_eq!(place.gateway.files_of_share(&open).await.unwrap().len(), 2);
    // Every gateway opens it, and one that has it in memory asks for nothing.
    let other = place.other_gateway();
    other.refresh().await.unwrap();
    assert!(opened(&other, &url, None).await.is_ok());
    place.catalog.calls();
    assert!(opened(&other, &url, None).await.is_ok());
    assert_eq!(place.catalog.calls(), 0);
}

#[tokio::test]
async fn other_codes_open_nothing() {
    let place = Place::new().await;
    let url = url(&place.made(of_files(&["a"])).await);
    let (base, code) = url.split_at(url.len() - 22);
    let swapped: String = code.chars().rev().collect();
    for (other, why) in [
        (&code[..21], Rejection::Malformed),
        (&format!("{code}0"), Rejection::Malformed),
        ("", Rejection::Malformed),
        (&format!("{}-", &code[..21]), Rejection::Malformed),
        (
            &format!("%{:02x}{}", code.as_bytes()[0], &code[3..]),
            Rejection::Malformed,
        ),
        (&code.swapcase(), Rejection::MacMismatch),
        (&swapped, Rejection::MacMismatch),
    ] {
        let refused = place.opened(&format!("{base}{other}")).await;
        assert_eq!(refused.unwrap_err(), why, "{other}");
    }
}

trait SwapCase {
    fn swapcase(&self) -> String;
}

impl SwapCase for str {
    fn swapcase(&self) -> String {
        let swapped = self.chars().map(|c| match c.is_ascii_uppercase() {
            true => c.to_ascii_lowercase(),
            false => c.to_ascii_uppercase(),
        });
        swapped.collect()
    }
}

fn principal(place: &Place, key: u8, scopes: Scopes) -> ShareManager {
    ShareManager::Key(Principal {
        key: ApiKeyId::from_random([key; 16]),
        organization: place.owner.clone(),
        scopes,
    })
}

#[tokio::test]
async fn a_key_manages_its_own_shares_and_admin_all() {
    let place = Place::new().await;
    let one = principal(&place, 1, Scopes::USUAL);
    let other = principal(&place, 2, Scopes::of(&[Scope::Mint]));
    let admin = principal(&place, 3, Scopes::of(&[Scope::Admin]));
    let gateway = &place.gateway;
    let made = gateway.create_share(&one, of_files(&["a"])).await.unwrap();
    let operators = place.made(of_files(&["a"])).await;
    let id = &made.share.id;
    let listed = async |manager: &ShareManager| {
        let listed = gateway.shares(manager, None, 9).await.unwrap();
        listed.into_iter().map(|of| of.share.id).collect::<Vec<_>>()
    };
    let all = vec![operators.share.id.clone(), id.clone()];
    assert_eq!(listed(&one).await, all[1..]);
    assert_eq!(listed(&other).await, []);
    assert_eq!(listed(&admin).await, all);
    assert_eq!(listed(&place.operator).await, all);
    for id in &all {
        let refused = [
            gateway.share(&other, id).await,
            gateway.edit_share(&other, id, ShareFields::default()).await,
            gateway.rotate_share(&other, id).await,
            gateway.revoke_share(&other, id).await,
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Refusal::ScopeMissing(Scope::Admin))));
        }
        assert!(gateway.share(&admin, id).await.is_ok());
    }
    assert!(gateway.rotate_share(&one, id).await.is_ok());
    let of_other = organization(place.catalog.as_ref(), "org_2").await;
    let elsewhere = ShareManager::Operator(of_other);
    let missing = gateway.share(&elsewhere, id).await;
    assert!(matches!(missing, Err(Refusal::Missing { what: SHARE })));
}

/// Shares that ended 30 days ago go with the sweep, and their counts with them.
#[tokio::test]
async fn the_sweep_forgets_shares_that_ended_long_ago() {
    let place = Place::new().await;
    let short = ShareFields {
        expires_in: Some(Some(1)),
        ..of_files(&["a"])
    };
    let over = place.made(short).await.share;
    let kept = place.made(of_files(&["a"])).await.share;
    let later = |seconds: u64| place.clock.set((NOW + seconds) * 1_000);
    let is_there = async |share: &Share| {
        let found = place.catalog.share(&place.owner, &share.id).await;
        found.unwrap().is_some()
    };
    later(SHARE_KEPT_SECONDS);
    place.gateway.sweep().await.unwrap();
    assert!(is_there(&over).await);
    later(SHARE_KEPT_SECONDS + 1);
    place.gateway.sweep().await.unwrap();
    assert!(!is_there(&over).await && is_there(&kept).await);
}
