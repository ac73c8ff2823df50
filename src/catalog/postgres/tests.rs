//! What the contract does not say of every catalogue: the server, and the others who use it.

use std::time::Instant;

use sqlx::{Row as _, query};

use super::*;
use crate::catalog::Catalog as _;
use crate::catalog::contract::{assert_missing, assert_taken, at, file, file_id, organization};
use crate::model::id::{FileId, OrganizationId};
use server::Server;

#[allow(dead_code, reason = "the tests over a socket use the rest")]
#[path = "../../../tests/support/postgres.rs"]
mod server;

const CONNECTIONS: u32 = 8;

/// An address in the shared server, of an empty database.
fn place(name: &str) -> Address {
    Address::parse(&Server::shared().database(name)).unwrap()
}

async fn catalog(name: &str) -> Postgres {
    Postgres::open(&place(name), CONNECTIONS).await.unwrap()
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let catalog = catalog("contract").await;
    crate::catalog::contract::all(&catalog).await;
}

#[tokio::test]
async fn two_gateways_see_each_others_changes() {
    let one = catalog("two").await;
    let two = Postgres::open_existing(&place("two"), CONNECTIONS)
        .await
        .unwrap();
    let owner = organization(&one, "a").await;
    assert!(two.organization(&owner).await.unwrap().is_some());
    assert_eq!(two.raise_epoch(&owner).await.unwrap(), 1);
    assert_eq!(one.revocations(at(0)).await.unwrap().epoch(&owner), 1);
    crate::catalog::contract::versions::all(&one, &two).await;
}
