//! Announcements: what one process announces, the others receive.

use std::time::{Duration, Instant};

use super::*;
use crate::model::held_revocation::{Announcement, HeldCall, HeldRevocation};

/// The longest wait for an announcement: ten times as long as a database takes to hand a notification on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the checks through two handles on one catalogue.
pub(crate) async fn all(one: &dyn Catalog, other: &dyn Catalog) {
    for handle in [one, other] {
        handle.announcements().prepare().await.unwrap();
    }
    let call = HeldCall::new(7).unwrap();
    let link = LinkId::parse("announced-on").unwrap();
    let held = Announcement::Held(
        call,
        HeldRevocation::Link(denial(&organization_id("announced"), link, 9_999)),
    );
    until_received(one, other, &held).await;
    until_received(one, other, &Announcement::Written(call)).await;
    // And the other way round.
    let call = HeldCall::new(8).unwrap();
    let organization = organization_id("announced");
    let held = Announcement::Held(call, HeldRevocation::Organization { organization });
    until_received(other, one, &held).await;
    until_received(other, one, &Announcement::Written(call)).await;
}

/// Announces until it is heard.
async fn until_received(from: &dyn Catalog, to: &dyn Catalog, announced: &Announcement) {
    let begun = Instant::now();
    loop {
        let some = std::slice::from_ref(announced);
        from.announcements().announce(some).await.unwrap();
        // Without anybody who waits for notifications none comes.
        let _ = tokio::time::timeout(Duration::from_millis(100), to.changed()).await;
        if to
            .announcements()
            .received()
            .await
            .unwrap()
            .contains(announced)
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{announced} is not heard");
    }
}
