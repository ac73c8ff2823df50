//! Announcements: which senders are believed.

use super::*;
use crate::model::held_revocation::{Announcement, HeldCall, HeldRevocation};

const NOTIFY: &str = "SELECT pg_notify('hallpass', $1)";

/// Any role of a server may connect to a database unless that is taken away, and can send notifications there.
#[tokio::test]
async fn an_announcement_of_another_role_is_not_heard() {
    let catalog = catalog("announced").await;
    let server = Server::shared();
    server.sql("postgres", "CREATE ROLE passer_by LOGIN");
    let options = place("announced").options().unwrap().username("passer_by");
    let mut other: PgConnection = options.connect().await.unwrap();
    let mut own = stranger("announced").await;
    let of = |number| {
        let organization = crate::catalog::contract::organization_id("announced");
        let held = HeldRevocation::Organization { organization };
        Announcement::Held(HeldCall::new(number).unwrap(), held)
    };
    let (forged, good) = (of(7), of(8));
    let begun = Instant::now();
    let mut received = Vec::new();
    while !received.contains(&good) {
        for (connection, announced) in [(&mut other, &forged), (&mut own, &good)] {
            let notify = query(NOTIFY).bind(announced.to_string());
            notify.execute(connection).await.unwrap();
        }
        let _ = timeout(Duration::from_millis(100), catalog.changed()).await;
        received.extend(catalog.announcements().received().await.unwrap());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    assert!(!received.contains(&forged), "{received:?}");
}
