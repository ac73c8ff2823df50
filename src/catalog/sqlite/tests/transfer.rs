//! Moving rows: what the contract leaves to each database.

use super::*;
use crate::catalog::contract::transfer::{assert_all_is_moved, notes};
use crate::catalog::sql::tables::Table;
use crate::catalog::transfer::Kind;

#[tokio::test]
async fn an_empty_file_becomes_a_copy() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    notes(&catalog).await;
}

#[tokio::test]
async fn every_table_and_column_is_moved() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut look = catalog.readers.acquire().await.unwrap();
    let columns = "SELECT tables.name || '.' || columns.name FROM sqlite_master AS tables, \
         pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'";
    let found = query(columns).fetch_all(&mut *look).await.unwrap();
    assert_all_is_moved(found.iter().map(|row| row.get(0)));
}

/// A page begins in the key's own index, and costs the same at every place.
#[tokio::test]
async fn no_row_is_read_twice() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut look = catalog.readers.acquire().await.unwrap();
    for kind in Kind::ALL {
        let explain = format!("EXPLAIN QUERY PLAN {}", Table::of(kind).select());
        let plan = query(sqlx::AssertSqlSafe(explain));
        let plan = plan.fetch_all(&mut *look).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan[0].starts_with("SEARCH "), "{kind:?}: {plan:?}");
        let of_epoch = [
            "CORRELATED SCALAR SUBQUERY 1",
            "SEARCH organization USING PRIMARY KEY (id=?)",
        ];
        let mut rest = plan.iter().skip(1);
        assert!(
            rest.all(|step| of_epoch.contains(&step.as_str())),
            "{kind:?}: {plan:?}"
        );
    }
}
