//! What there is no room to write holds all the same, and is written in the end.

use std::sync::Arc;

use super::*;
use crate::catalog::Catalog;
use crate::catalog::contract::{file, organization, revoked};
use crate::catalog::testing::TestCatalog;
use crate::gateway::download::LinkRequest;
use crate::gateway::mint::MintOptions;
use crate::gateway::revoke::{Revoked, Revoker};
use crate::gateway::testing::{NOW, gateway, memory_blobs};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LinkId, Revocations};
use crate::sign::url;

mod received;

const BY: Revoker = Revoker::Organization;

/// A call of its own for each number.
fn call(number: usize) -> HeldCall {
    HeldCall::new(number as u64 + 1).unwrap()
}

struct Place {
    catalog: Arc<TestCatalog>,
    gateway: Gateway,
    owner: OrganizationId,
}

impl Place {
    /// A gateway that knows of the files `f` and `g`.
    async fn new() -> Self {
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "o").await;
        for id in ["f", "g"] {
            catalog.add_file(&file(&owner, id, 1)).await.unwrap();
        }
        let gateway = gateway(Arc::clone(&catalog) as _, memory_blobs());
        gateway.refresh().await.unwrap();
        Self {
            catalog,
            gateway,
            owner,
        }
    }

    async fn mint(&self, id: &str) -> String {
        self.minted(id).await.unwrap()
    }

    async fn minted(&self, id: &str) -> Result<String, Refusal> {
        let options = MintOptions::default();
        let minted = self.gateway.mint_for(&self.owner, id, &options);
        Ok(minted.await?.download_url)
    }

    /// A link that another gateway makes now, which knows what is written alone.
    async fn mint_elsewhere(&self, id: &str) -> String {
        self.elsewhere().await.mint(id).await
    }

    /// Another gateway on the same catalogue, as this one is after a restart, too.
    async fn elsewhere(&self) -> Self {
        let catalog = Arc::clone(&self.catalog);
        let gateway = gateway(Arc::clone(&catalog) as _, memory_blobs());
        gateway.refresh().await.unwrap();
        let owner = self.owner.clone();
        Self {
            catalog,
            gateway,
            owner,
        }
    }

    /// Checks that a link opens here, or at a gateway that knows what is written alone, or not.
    async fn expect_open(&self, link: &str, here: bool, elsewhere: bool) {
        assert_eq!(self.opens(link).await, here, "here");
        let other = self.elsewhere().await;
        assert_eq!(other.opens(link).await, elsewhere, "elsewhere");
    }

    async fn revoke_file(&self, id: &str) -> Result<Revoked, Refusal> {
        let id = FileId::parse(id).unwrap();
        let revoked = self.gateway.revoke_links_of_file(&self.owner, &id, BY);
        revoked.await
    }

    async fn revoke_all(&self) -> Revoked {
        let revoked = self.gateway.revoke_links_of_organization(&self.owner, BY);
        revoked.await.unwrap()
    }

    /// Writes what is held, all of it.
    async fn write(&self) {
        self.catalog.set_full(false);
        self.gateway.write_held_revocations().await.unwrap();
        assert_eq!(self.gateway.held_revocations(), 0);
    }

    async fn opens(&self, link: &str) -> bool {
        let (organization, file, query) = url::split(link).unwrap();
        let request = LinkRequest {
            organization,
            file,
            query,
            client: None,
        };
        self.gateway.verify_link(&request).await.is_ok()
    }

    async fn revoke(&self, link: &str) -> Revoked {
        let revoked = self.gateway.revoke_url(Some(&self.owner), link, BY);
        revoked.await.unwrap()
    }

    /// What is written, by the catalogue itself.
    async fn written(&self) -> Arc<Revocations> {
        revoked(&self.catalog.other, NOW).await.into()
    }
}

#[tokio::test]
async fn a_held_revocation_refuses_its_link_at_once_and_is_written_later() {
    let place = Place::new().await;
    let (link, other) = (place.mint("f").await, place.mint("g").await);
    place.catalog.set_full(true);
    for _ in 0..2 {
        let revoked = place.revoke(&link).await;
        assert!(revoked.is_held, "{revoked:?}");
        assert_eq!(place.gateway.held_revocations(), 1);
        assert!(!place.opens(&link).await && place.opens(&other).await);
    }
    let id = place.revoke(&link).await.link_id.unwrap();
    assert!(!place.written().await.is_denied(&place.owner, id));
    let full = place.gateway.write_held_revocations().await;
    assert!(matches!(full, Err(Refusal::NoSpace)), "{full:?}");
    // Reading everything anew forgets nothing of it.
    place.gateway.refresh().await.unwrap();
    assert!(!place.opens(&link).await);

    place.catalog.set_full(false);
    place.gateway.write_held_revocations().await.unwrap();
    assert_eq!(place.gateway.held_revocations(), 0);
    assert!(place.written().await.is_denied(&place.owner, id));
    assert!(!place.opens(&link).await && place.opens(&other).await);
    assert!(!place.revoke(&link).await.is_held);
}

#[tokio::test]
async fn no_link_is_made_of_a_file_or_an_organization_that_is_held() {
    let place = Place::new().await;
    let [of_f, of_g] = [place.mint("f").await, place.mint("g").await];
    place.catalog.set_full(true);
    let revoked = place.revoke_file("f").await.unwrap();
    assert_eq!(revoked.extent, Extent::File { link_revision: 0 });
    assert!(revoked.is_held && revoked.widened().is_none());
    place.expect_open(&of_f, false, true).await;
    place.expect_open(&of_g, true, true).await;
    let refused = place.minted("f").await;
    assert!(
        matches!(refused, Err(Refusal::RevocationHeld)),
        "{refused:?}"
    );
    place.mint("g").await;
    // A link of it that others make is refused, too, and is known as held.
    let other = place.mint_elsewhere("f").await;
    assert!(!place.opens(&other).await);
    let revoked = place.revoke(&other).await;
    assert_eq!((revoked.is_held, revoked.widened()), (true, Some("file")));

    let revoked = place.revoke_all().await;
    assert_eq!(revoked.extent, Extent::Organization { epoch: 0 });
    assert_eq!(place.gateway.held_revocations(), 1, "it takes all along");
    place.expect_open(&of_g, false, true).await;
    let refused = place.minted("g").await;
    assert!(
        matches!(refused, Err(Refusal::RevocationHeld)),
        "{refused:?}"
    );
    assert!(place.revoke_file("g").await.unwrap().is_held);
    assert_eq!(place.gateway.held_revocations(), 1);

    place.write().await;
    let written = place.written().await;
    assert_eq!(written.epoch(&place.owner), 1);
    for dead in [&of_f, &of_g, &other] {
        place.expect_open(dead, false, false).await;
    }
    let new = place.mint("f").await;
    place.expect_open(&new, true, true).await;
}

/// What may end the holding of a file, or of the organization.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The caller's next attempt, which finds room.
    Directly,
    /// The background task.
    Background,
    /// The operator's command, or another gateway.
    Elsewhere,
}

#[tokio::test]
async fn a_link_that_was_made_before_never_opens_again_whoever_writes_first() {
    let first = [Step::Directly, Step::Background, Step::Elsewhere];
    for (first, second) in first
        .into_iter()
        .flat_map(|one| first.map(|two| (one, two)))
    {
        for is_all in [false, true] {
            let place = Place::new().await;
            let before = place.mint("f").await;
            place.catalog.set_full(true);
            match is_all {
                true => assert!(place.revoke_all().await.is_held),
                false => assert!(place.revoke_file("f").await.unwrap().is_held),
            }
            let mut dead = vec![before, place.mint_elsewhere("f").await];
            place.catalog.set_full(false);
            for step in [first, second] {
                match step {
                    Step::Directly if is_all => assert!(!place.revoke_all().await.is_held),
                    Step::Directly => assert!(!place.revoke_file("f").await.unwrap().is_held),
                    Step::Background => place.write().await,
                    Step::Elsewhere => {
                        let other = place.elsewhere().await;
                        match is_all {
                            true => drop(other.revoke_all().await),
                            false => drop(other.revoke_file("f").await.unwrap()),
                        }
                        place.gateway.refresh().await.unwrap();
                    }
                }
                for link in &dead {
                    assert!(
                        !place.opens(link).await,
                        "{first:?} {second:?} {is_all} {step:?}"
                    );
                }
                if place.gateway.held_revocations() > 0 {
                    // What others wrote ends nothing here, and none is made ahead.
                    assert!(matches!(step, Step::Elsewhere), "{step:?}");
                    place.minted("f").await.unwrap_err();
                    dead.push(place.mint_elsewhere("f").await);
                    assert!(!place.opens(&dead[2]).await);
                } else {
                    let new = place.mint("f").await;
                    place.expect_open(&new, true, true).await;
                }
            }
            place.write().await;
            for link in &dead {
                place.expect_open(link, false, false).await;
            }
        }
    }
}

#[tokio::test]
async fn a_revocation_that_began_before_does_not_end_a_later_holding() {
    let place = Place::new().await;
    for is_background in [true, false] {
        place.catalog.set_full(true);
        assert!(place.revoke_all().await.is_held);
        place.catalog.set_full(false);
        let (seen, go_on) = place
            .catalog
            .hesitate_in("revoking an organization's links");
        let write = async {
            match is_background {
                true => place.gateway.write_held_revocations().await.unwrap(),
                false => drop(place.revoke_all().await),
            }
        };
        let ask_again = async {
            seen.await.unwrap();
            let between = place.mint_elsewhere("f").await;
            place.catalog.set_full(true);
            assert!(place.revoke_all().await.is_held);
            go_on.send(()).unwrap();
            between
        };
        let ((), between) = tokio::join!(write, ask_again);
        assert_eq!(place.gateway.held_revocations(), 1, "{is_background}");
        place.expect_open(&between, false, true).await;
        place.write().await;
        place.expect_open(&between, false, false).await;
    }
}

#[tokio::test]
async fn a_later_revocation_ends_the_holding_of_what_it_covers() {
    let place = Place::new().await;
    let [f, g] = [place.mint("f").await, place.mint("g").await];
    place.catalog.set_full(true);
    for link in [&f, &g] {
        assert!(place.revoke(link).await.is_held);
    }
    place.catalog.set_full(false);
    assert!(!place.revoke_file("f").await.unwrap().is_held);
    assert_eq!(place.gateway.held_revocations(), 1);
    place.expect_open(&f, false, false).await;
    place.expect_open(&g, false, true).await;
    assert!(!place.revoke(&g).await.is_held);
    assert_eq!(place.gateway.held_revocations(), 0);
    place.expect_open(&g, false, false).await;
}

#[tokio::test]
async fn a_download_that_is_under_way_ends_when_all_links_of_its_file_are_held() {
    let place = Place::new().await;
    let link = place.mint("f").await;
    let (organization, id, query) = url::split(&link).unwrap();
    let request = LinkRequest {
        organization,
        file: id,
        query,
        client: None,
    };
    let verified = place.gateway.verify_link(&request).await.unwrap();
    let [f, g] = ["f", "g"].map(|id| file(&place.owner, id, 1));
    let is_revoked = |file: &FileRecord| {
        let recheck = place.gateway.recheck();
        recheck.is_revoked(
            (&file.organization, Some(&file.id)),
            verified.link_id(),
            verified.in_force(),
        )
    };
    place.catalog.set_full(true);
    assert!(!is_revoked(&f));
    assert!(place.revoke_file("f").await.unwrap().is_held);
    assert!(is_revoked(&f) && !is_revoked(&g));
    assert!(place.revoke_all().await.is_held);
    assert!(is_revoked(&f) && is_revoked(&g));
}

#[tokio::test]
async fn a_full_list_widens_to_the_organization() {
    let place = Place::new().await;
    let link = place.mint("f").await;
    place.catalog.set_full(true);
    let revoke = async |number: usize, by| {
        let link = LinkId::parse(&format!("{number:012}")).unwrap();
        place.gateway.revoke_link(&place.owner, link, by).await
    };
    let by_command = revoke(0, Revoker::Operator).await;
    assert!(
        matches!(by_command, Err(Refusal::NoSpace)),
        "{by_command:?}"
    );
    for number in 0..HELD_OF_ORGANIZATION_MAX {
        assert!(revoke(number, BY).await.unwrap().is_held);
    }
    let version = place.gateway.snapshot.held(HeldRevocations::version);
    let lost = revoke(HELD_OF_ORGANIZATION_MAX, BY).await;
    assert!(matches!(lost, Err(Refusal::RevocationLost)), "{lost:?}");
    assert!(revoke(0, BY).await.unwrap().is_held, "it is held already");
    assert_eq!(
        place.gateway.snapshot.held(HeldRevocations::version),
        version
    );
    assert!(place.opens(&link).await);
    let revoked = place.revoke(&link).await;
    assert_eq!(
        (revoked.is_held, revoked.widened()),
        (true, Some("organization"))
    );
    assert_eq!(place.gateway.held_revocations(), 1);
    assert!(revoke(HELD_OF_ORGANIZATION_MAX, BY).await.unwrap().is_held);
    place.expect_open(&link, false, true).await;
    place.write().await;
    place.expect_open(&link, false, false).await;
}

#[test]
fn tenants_that_fill_the_list_keep_no_other_from_revoking() {
    let mut all = HeldRevocations::default();
    let of = |number: usize| OrganizationId::parse(&format!("o{number}")).unwrap();
    let file = |organization: usize, file: usize| HeldRevocation::File {
        organization: of(organization),
        file: FileId::parse(&format!("f{file}")).unwrap(),
    };
    let tenants = HELD_MAX / HELD_OF_ORGANIZATION_MAX;
    for number in 0..HELD_MAX {
        let asked = file(number % tenants, number / tenants);
        assert_eq!(all.add(&asked, call(number)), Some((asked.clone(), false)));
    }
    for tenant in 0..=tenants {
        let organization = of(tenant);
        let whole = HeldRevocation::Organization { organization };
        let added = all.add(&file(tenant, HELD_MAX), call(HELD_MAX + tenant));
        assert!(
            tenant > 0 || added == Some((whole.clone(), false)),
            "{added:?}"
        );
        assert!(all.add(&whole, call(0)).is_some());
    }
    assert_eq!(all.all.len(), tenants + 1);
}

#[tokio::test]
async fn what_cannot_be_written_keeps_no_other_organization_waiting() {
    let place = Place::new().await;
    let other = organization(place.catalog.as_ref(), "other").await;
    place.catalog.set_full(true);
    assert!(place.revoke_file("f").await.unwrap().is_held);
    assert!(place.revoke_file("unknown").await.unwrap().is_held);
    let all = place.gateway.revoke_links_of_organization(&other, BY);
    assert!(all.await.unwrap().is_held);
    place.catalog.set_full(false);
    place.catalog.fail_in(Some("revoking a file's links"));
    let failed = place.gateway.write_held_revocations().await;
    assert!(matches!(failed, Err(Refusal::Unavailable(_))), "{failed:?}");
    assert_eq!(place.gateway.held_revocations(), 2);
    assert_eq!(place.written().await.epoch(&other), 1);
    place.catalog.fail_in(None);
    place.write().await;
    let f = FileId::parse("f").unwrap();
    assert_eq!(place.written().await.revision(&place.owner, &f), 1);
}

#[tokio::test]
async fn a_change_that_fails_for_no_space_invalidates_no_snapshot() {
    let place = Place::new().await;
    let link = place.mint("f").await;
    place.catalog.set_full(true);
    assert!(place.revoke_file("g").await.unwrap().is_held);
    place.catalog.calls();
    assert!(place.opens(&link).await);
    assert_eq!(place.catalog.calls(), 0);
}
