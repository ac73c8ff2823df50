//! What there is no room to write holds all the same, and is written in the end.

use super::*;
use crate::catalog::Catalog;
use crate::catalog::contract::{file, organization, revoked};
use crate::catalog::testing::TestCatalog;
use crate::gateway::download::LinkRequest;
use crate::gateway::mint::MintOptions;
use crate::gateway::revoke::{Revoked, Revoker};
use crate::gateway::testing::{NOW, gateway, memory_blobs};
use crate::model::revocation::LinkId;
use crate::sign::url;

const BY: Revoker = Revoker::Organization;

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
        let options = MintOptions::default();
        let minted = self.gateway.mint_for(&self.owner, id, &options);
        minted.await.unwrap().download_url
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
async fn a_link_is_refused_from_that_moment_and_its_revocation_is_written_in_the_end() {
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
async fn links_that_are_made_meanwhile_live_on() {
    let place = Place::new().await;
    let [of_file, of_both] = [place.mint("f").await, place.mint("g").await];
    place.catalog.set_full(true);
    let owner = &place.owner;
    let f = file(owner, "f", 1).id;
    let revoked = place.gateway.revoke_links_of_file(owner, &f, BY).await;
    assert_eq!(revoked.unwrap().extent, Extent::File { link_revision: 1 });
    let second = place.mint("f").await;
    assert!(!place.opens(&of_file).await && place.opens(&second).await);
    assert!(
        place.revoke(&of_file).await.is_held,
        "it ended with its file"
    );

    for epoch in [1, 2] {
        let revoked = place.gateway.revoke_links_of_organization(owner, BY).await;
        let revoked = revoked.unwrap();
        assert_eq!(revoked.extent, Extent::Organization { epoch });
        assert_eq!(place.gateway.held_revocations(), 1, "it takes all along");
    }
    let third = place.mint("f").await;
    for dead in [&of_file, &second, &of_both] {
        assert!(!place.opens(dead).await);
    }
    assert!(place.opens(&third).await);
    let revoked = place.gateway.revoke_links_of_file(owner, &f, BY).await;
    assert!(revoked.unwrap().is_held);
    let fourth = place.mint("f").await;
    assert!(!place.opens(&third).await && place.opens(&fourth).await);

    place.catalog.set_full(false);
    place.gateway.write_held_revocations().await.unwrap();
    assert_eq!(place.gateway.held_revocations(), 0);
    let written = place.written().await;
    assert_eq!((written.epoch(owner), written.revision(owner, &f)), (2, 1));
    assert!(!place.opens(&third).await && place.opens(&fourth).await);
}

#[tokio::test]
async fn what_another_gateway_wrote_meanwhile_is_not_written_again() {
    let place = Place::new().await;
    let owner = &place.owner;
    let link = place.mint("f").await;
    place.catalog.set_full(true);
    let revoked = place.gateway.revoke_links_of_organization(owner, BY).await;
    assert!(revoked.unwrap().is_held);
    place.catalog.other.raise_epoch(owner).await.unwrap();
    place.gateway.write_held_revocations().await.unwrap();
    assert_eq!(place.gateway.held_revocations(), 0);
    assert_eq!(place.written().await.epoch(owner), 1);
    assert!(!place.opens(&link).await);
}

#[tokio::test]
async fn so_many_are_held_for_an_organization_and_a_command_holds_none() {
    let place = Place::new().await;
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
    let lost = revoke(HELD_OF_ORGANIZATION_MAX, BY).await;
    assert!(matches!(lost, Err(Refusal::RevocationLost)), "{lost:?}");
    assert!(revoke(0, BY).await.unwrap().is_held, "it is held already");
    let all = place.gateway.revoke_links_of_organization(&place.owner, BY);
    assert!(all.await.unwrap().is_held, "all of them fit into one");
    assert_eq!(place.gateway.held_revocations(), 1);
}

#[test]
fn a_text_says_all_of_a_revocation_and_others_are_passed_over() {
    let organization = OrganizationId::parse("org_1").unwrap();
    let file = FileId::parse("file-1_x").unwrap();
    let denial = |signed| Denial {
        organization: organization.clone(),
        link: LinkId::parse("link-0000001").unwrap(),
        expires: UnixSeconds::new(NOW).unwrap(),
        signed,
    };
    let signed = SignedFor {
        file: file.clone(),
        epoch: 1,
        link_revision: 2,
    };
    let all = [
        HeldRevocation::Link(denial(None)),
        HeldRevocation::Link(denial(Some(signed))),
        HeldRevocation::File {
            organization: organization.clone(),
            file,
            epoch: 3,
            revision: 4,
        },
        HeldRevocation::Organization {
            organization: organization.clone(),
            epoch: 5,
        },
    ];
    for held in all {
        let text = held.to_text();
        assert_eq!(HeldRevocation::parse(&text), Some(held), "{text}");
        assert_eq!(HeldRevocation::parse(&format!("{text} more")), None);
        assert_eq!(HeldRevocation::parse(&format!("x{text}")), None);
    }
    assert_eq!(HeldRevocation::parse(""), None);
}
