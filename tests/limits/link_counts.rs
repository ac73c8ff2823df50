//! Links with counts of their own, of which an organization has so many.

use hallpass::model::count::Counted;
use hallpass::model::id::FileId;
use hallpass::model::revocation::LinkId;

use super::*;
use crate::support::app::T0;

/// Different links for one file, each with the seconds that it lives; the claim makes them different.
async fn links(
    app: &TestApp,
    numbers: std::ops::Range<u64>,
    expires_in: u64,
) -> Vec<(String, LinkId)> {
    let mut links = Vec::new();
    for number in numbers {
        let options = format!("expires_in={}", expires_in + number);
        let minted = app.mint("file_abc123", &options).await;
        let url = minted["download_url"].as_str().unwrap();
        let (_, mac) = url.split_once("token=").unwrap().1.split_once('.').unwrap();
        let id = LinkId::parse(&mac[..12]).unwrap();
        links.push((crate::support::app::target(url), id));
    }
    links
}

async fn downloads(app: &TestApp, of: Counted<'_>) -> u64 {
    let organization = OrganizationId::parse("org_123").unwrap();
    let counts = app.gateway.counts(&organization, of).await.unwrap();
    counts.downloads
}

/// Opens each link once at each gateway, and has all of that counted.
async fn opened(apps: &[&TestApp], links: &[(String, LinkId)], so_far: u64) -> u64 {
    for app in apps {
        for (link, _) in links {
            assert_eq!(app.client.get(link, &[]).await.status, 200);
        }
    }
    let wanted = so_far + (apps.len() * links.len()) as u64;
    let file = FileId::parse("file_abc123").unwrap();
    let begun = Instant::now();
    // A download is counted once its connection knows that it is over; both gateways flush at once.
    while downloads(apps[0], Counted::File(&file)).await != wanted {
        assert!(begun.elapsed() < Duration::from_secs(60), "{wanted}");
        let flushes = apps.iter().map(|app| app.gateway.flush_counts());
        for flushed in futures_util::future::join_all(flushes).await {
            flushed.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wanted
}

async fn with_counts(app: &TestApp, links: &[(String, LinkId)]) -> usize {
    let mut found = 0;
    for (_, id) in links {
        found += usize::from(downloads(app, Counted::Link(*id)).await > 0);
    }
    found
}

/// Returns whether it is known how often each link was downloaded.
async fn are_known(app: &TestApp, links: &[(String, LinkId)]) -> Vec<bool> {
    let organization = OrganizationId::parse("org_123").unwrap();
    let mut known = Vec::new();
    for (_, id) in links {
        let counts = app.gateway.counts_of_link(&organization, *id).await;
        known.push(counts.unwrap().is_some());
    }
    known
}

/// Two gateways, which flush beside each other.
#[tokio::test]
async fn downloads_with_links_beyond_the_bound_are_counted_for_the_file() {
    let settings = [("limits.organization_link_counts", "5")];
    let one = start(&settings).await;
    let other = one.beside(&settings).await;
    let both = [&one, &other];
    let short = links(&one, 0..8, 60).await;
    assert_eq!(are_known(&one, &short).await, [true; 8]);
    let so_far = opened(&both, &short, 0).await;
    assert_eq!(with_counts(&one, &short).await, 5);
    let known = are_known(&one, &short).await;
    assert_eq!(known.iter().filter(|is_known| **is_known).count(), 5);
    let mut wrong = Vec::new();
    let report = |miscount| wrong.push(format!("{miscount:?}"));
    one.gateway.check_counts(false, report).await.unwrap();
    assert_eq!(wrong, [""; 0]);
    // Those that have counts go on, and another one gets none.
    let so_far = opened(&both, &short, so_far).await;
    assert_eq!(with_counts(&one, &short).await, 5);
    let long = links(&one, 0..3, 3_000).await;
    let so_far = opened(&both, &long, so_far).await;
    assert_eq!(with_counts(&one, &long).await, 0);
    // Once the first ones are dead and swept, there is room.
    for app in both {
        app.clock.set((T0 + 600) * 1_000);
    }
    one.gateway.sweep().await.unwrap();
    assert_eq!(are_known(&one, &long).await, [true; 3]);
    opened(&both, &long, so_far).await;
    assert_eq!(with_counts(&one, &long).await, 3);
    assert_eq!(with_counts(&one, &short).await, 0, "they are swept");
}
