//! New catalogues: their schema, and the ones that go with their process.

use super::*;

/// A new catalogue is made by one text, an older one is brought up to date by the driver, step by step.
#[tokio::test]
async fn a_new_catalogue_has_the_schema_that_its_steps_make() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut made = stranger(&place.path).await;
    let mut stepped = stranger(&place.path.with_file_name("stepped.sqlite3")).await;
    open::schema().run(&mut stepped).await.unwrap();
    for text in [
        "SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), char(10) ORDER BY name) FROM sqlite_schema",
        "SELECT group_concat(version || description || success || hex(checksum), char(10) ORDER BY version) \
         FROM _sqlx_migrations",
    ] {
        let [made, stepped] = [
            query(text).fetch_one(&mut made).await.unwrap(),
            query(text).fetch_one(&mut stepped).await.unwrap(),
        ]
        .map(|row| row.get::<String, _>(0));
        assert_eq!(made, stepped);
    }
    catalog.close().await;
}

#[tokio::test]
async fn a_temporary_catalogue_waits_for_no_disk_and_sets_nothing_aside() {
    for (missing, synchronous, is_made) in [
        (Missing::Make, 2_i64, true),
        (Missing::MakeTemporary, 0, false),
    ] {
        let place = place();
        let catalog = Sqlite::open_with(&place.path, missing).await.unwrap();
        catalog.announcements().prepare().await.unwrap();
        let beside = place.path.with_file_name("held-revocations");
        assert_eq!(fs::exists(beside).unwrap(), is_made);
        for pool in [&catalog.writer, &catalog.readers] {
            let mut connection = pool.acquire().await.unwrap();
            let found = query("PRAGMA synchronous").fetch_one(&mut *connection);
            assert_eq!(found.await.unwrap().get::<i64, _>(0), synchronous);
        }
        organization(&catalog, "o").await;
        catalog.close().await;
    }
}
