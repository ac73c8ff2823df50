//! Moving rows: what the contract leaves to each database.

use super::*;
use crate::catalog::contract::transfer::{assert_all_is_moved, notes};

#[tokio::test]
async fn an_empty_database_becomes_a_copy() {
    notes(&catalog("notes").await).await;
}

#[tokio::test]
async fn every_table_and_column_is_moved() {
    let catalog = catalog("columns").await;
    let columns = "SELECT table_name || '.' || column_name AS name FROM information_schema.columns \
         WHERE table_schema = 'public'";
    let mut lease = catalog.look().await.unwrap();
    let found = query(columns).fetch_all(lease.connection().unwrap()).await;
    assert_all_is_moved(found.unwrap().iter().map(|row| row.get("name")));
}
