//! Statements on a connection without the driver.

use super::*;
use crate::catalog::CatalogError;

fn session() -> Session<'static> {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let schema = "PRAGMA foreign_keys = ON;
         CREATE TABLE owner (id TEXT PRIMARY KEY, number INTEGER, bytes BLOB) STRICT;
         CREATE TABLE owned (id TEXT REFERENCES owner (id)) STRICT;";
    connection.execute_batch(schema).unwrap();
    Session::new(Connection::Rusqlite(connection))
}

async fn insert(session: &mut Session<'_>, id: &str) -> Result<u64, Fault> {
    let insert = query("INSERT INTO owner (id, number, bytes) VALUES ($1, $2, $3)");
    let (number, bytes) = (i64::from(u32::MAX), b"\0\xff".as_slice());
    session
        .execute(insert.bind(id).bind(number).bind(bytes))
        .await
}

fn meaning<T: std::fmt::Debug>(outcome: Result<T, Fault>) -> CatalogError {
    outcome.unwrap_err().while_doing("testing")
}

/// SQLite takes `$2` for a name, and gives it the place in which it meets it.
#[tokio::test]
async fn each_placeholder_has_the_value_of_its_number() {
    let mut session = session();
    for text in [
        "SELECT $3 AS third, $1 AS first, $2 AS second, $1 AS first_again",
        "SELECT $1 AS first, $2 AS second, $3 AS third, $1 AS first_again",
    ] {
        let asked = query(text).bind("one").bind(2_i64).bind([3_u8].as_slice());
        let found = session.one(asked, |row| {
            let text = |name| rows::value(row, name, |text: &str| Some(text.to_owned()));
            let second = rows::number(row, "second")?;
            let third = rows::value(row, "third", |bytes: &[u8]| Some(bytes.to_vec()))?;
            Ok((text("first")?, text("first_again")?, second, third))
        });
        let found = found.await.unwrap();
        assert_eq!(found, ("one".into(), "one".into(), 2, vec![3]), "{text}");
    }
    let too_few = query("SELECT $1, $2").bind("one");
    assert!(session.is_any(too_few).await.is_err());
}

#[tokio::test]
async fn rows_are_written_and_read() {
    let mut session = session();
    for id in ["a", "b", "c"] {
        assert_eq!(insert(&mut session, id).await.unwrap(), 1);
    }
    let some: Value<'_> = ["a", "c", "d"].into_iter().collect();
    let find = "SELECT id, number, bytes FROM owner WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id";
    let found = session.all(query(find).bind(some), |row| {
        let id = rows::value(row, "id", |id: &str| Some(id.to_owned()))?;
        let bytes = rows::value(row, "bytes", |bytes: &[u8]| Some(bytes.len()))?;
        Ok((id, rows::number(row, "number")?, bytes))
    });
    let number = u64::from(u32::MAX);
    let wanted = [("a".to_owned(), number, 2), ("c".to_owned(), number, 2)];
    assert_eq!(found.await.unwrap(), wanted);
    // A text that was made has its placeholders in order, and an absent value is NULL.
    let made = made(
        "UPDATE owner SET number = $1, bytes = $2 WHERE id = $3".to_owned(),
        vec![Value::Integer(None), Value::Bytes(None), "b".into()],
    );
    assert_eq!(session.execute(made).await.unwrap(), 1);
    let empty = query("SELECT number FROM owner WHERE number IS NULL AND bytes IS NULL");
    let number = session.one(empty, |row| rows::optional_number(row, "number"));
    assert_eq!(number.await.unwrap(), None);
    let gone = query("SELECT number FROM owner WHERE id = 'z'");
    assert!(!session.is_any(gone).await.unwrap());
}

/// A refusal of SQLite means the same with the driver and without.
#[tokio::test]
async fn a_refusal_means_what_it_means_by_the_driver() {
    let mut session = session();
    insert(&mut session, "a").await.unwrap();
    let again = meaning(insert(&mut session, "a").await);
    assert!(matches!(again, CatalogError::Conflict { .. }), "{again:?}");
    let orphan = query("INSERT INTO owned (id) VALUES ($1)").bind("z");
    let orphan = meaning(session.execute(orphan).await);
    assert!(
        matches!(orphan, CatalogError::NotFound { .. }),
        "{orphan:?}"
    );
    let negative = query("SELECT -1 AS number");
    let negative = meaning(
        session
            .one(negative, |row| rows::number(row, "number"))
            .await,
    );
    assert!(
        matches!(negative, CatalogError::Corrupt { .. }),
        "{negative:?}"
    );
    let other = query("SELECT 'text' AS number");
    let other = meaning(session.one(other, |row| rows::number(row, "number")).await);
    assert!(matches!(other, CatalogError::Corrupt { .. }), "{other:?}");
    session
        .execute(query("PRAGMA query_only = ON"))
        .await
        .unwrap();
    let refused = meaning(insert(&mut session, "b").await);
    assert!(refused.is_of_all_writes(), "{refused:?}");
    let broken = meaning(
        session
            .execute(query("INSERT INTO nowhere VALUES (1)"))
            .await,
    );
    let is_unavailable = matches!(broken, CatalogError::Unavailable { .. });
    assert!(is_unavailable && !broken.is_of_all_writes(), "{broken:?}");
}
