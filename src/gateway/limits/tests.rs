//! Who is limited by how much, with a clock that runs as far as it is told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::gateway::testing::{NOW, keyring};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::Revocations;
use crate::model::time::UnixSeconds;
use crate::sign::claims::Claims;
use crate::sign::grant::Grant;
use crate::sign::url;
use crate::sign::verify::{Attempt, Conditions};

/// A clock that runs as far as it is told.
#[derive(Default)]
struct Hand(AtomicU64);

impl Hand {
    fn move_on(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn unix_millis(&self) -> u64 {
        NOW * 1_000
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

fn limits(settings: &RateLimits) -> (Arc<Hand>, Limits) {
    let clock = Arc::<Hand>::default();
    let limits = Limits::new(settings, Arc::clone(&clock) as _);
    (clock, limits)
}

fn requests(requests_per_minute: u64) -> Rule {
    Rule {
        requests_per_minute,
        ..Rule::default()
    }
}

fn downloads(downloads: u64) -> Rule {
    Rule {
        at_once: downloads,
        ..Rule::default()
    }
}

fn bytes(bytes_per_second: u64) -> Rule {
    Rule {
        bytes_per_second,
        ..Rule::default()
    }
}

/// Does something with a link for the file `file` of the organization `organization`.
fn with_link<T>(organization: &str, file: &str, then: impl FnOnce(&Verified<'_>) -> T) -> T {
    let keyring = keyring("a");
    let expires = UnixSeconds::new(NOW + 60).unwrap();
    let grant = Grant {
        organization: OrganizationId::parse(organization).unwrap(),
        file: FileId::parse(file).unwrap(),
        expires,
        claims: Claims::none(),
    };
    let link = keyring.mint(&grant, 0, 0).url("");
    let (organization, file, query) = url::split(&link).unwrap();
    let conditions = Conditions {
        now: UnixSeconds::new(NOW).unwrap(),
        lifetime_max: 60,
        not_before_leeway: 0,
        client: None,
        revocations: &Revocations::default(),
    };
    let attempt = Attempt {
        organization,
        file,
        query,
    };
    then(&keyring.verify(&attempt, &conditions).unwrap())
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// How long whoever was refused is told to wait, `None` of who was not.
fn wait<T>(outcome: Result<T, Refusal>) -> Option<Duration> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::TooMany { wait, .. }) => Some(wait),
        Err(other) => panic!("{other:?}"),
    }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn nothing_is_limited_unless_it_is_asked_for() {
    let (_, limits) = limits(&RateLimits::default());
    for _ in 0..1_000 {
        limits.admit_address(address("192.0.2.1")).unwrap();
        with_link("o", "f", |link| {
            limits.admit_link(link).unwrap();
            let admitted = limits.admit_download(link, address("192.0.2.1"));
            assert!(admitted.unwrap().is_none());
        });
    }
}

#[test]
fn an_address_gets_through_after_the_wait_that_it_is_told() {
    let (clock, limits) = limits(&RateLimits {
        address: requests(6),
        ..RateLimits::default()
    });
    let asks = |text| wait(limits.admit_address(address(text)));
    for _ in 0..6 {
        assert_eq!(asks("192.0.2.1"), None);
    }
    assert_eq!(asks("192.0.2.1"), Some(Duration::from_secs(10)));
    assert_eq!(
        limits.address_wait(address("192.0.2.1")),
        Duration::from_secs(10)
    );
    clock.move_on(10 * SECOND - 1);
    assert_eq!(asks("192.0.2.1"), Some(Duration::from_nanos(1)));
    clock.move_on(1);
    assert_eq!(asks("192.0.2.1"), None);
    assert!(asks("192.0.2.1").is_some());
    // Others have had nothing yet, and who is unknown is nobody.
    assert_eq!(asks("192.0.2.2"), None);
    for _ in 0..10 {
        assert_eq!(wait(limits.admit_address(None)), None);
    }
    assert_eq!(limits.address_wait(None), Duration::ZERO);
    assert_eq!(limits.address_wait(address("192.0.2.3")), Duration::ZERO);
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_address_and_a_mapped_one_is_ipv4() {
    let (_, limits) = limits(&RateLimits {
        address: requests(1),
        ..RateLimits::default()
    });
    let asks = |text| wait(limits.admit_address(address(text))).is_none();
    assert!(asks("2001:db8:0:1::1"));
    assert!(!asks("2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert!(asks("2001:db8:0:2::1"));
    assert!(asks("192.0.2.1"));
    assert!(!asks("::ffff:192.0.2.1"));
    assert!(asks("192.0.2.2"));
    assert!(asks("::1") && asks("127.0.0.1"), "loopback is an address");
    assert!(!asks("::1") && !asks("127.0.0.1"));
}

#[test]
fn keys_and_links_are_counted_each_for_itself() {
    let (_, limits) = limits(&RateLimits {
        api_key: requests(1),
        link: requests(1),
        ..RateLimits::default()
    });
    let key = |byte| limits.admit_key(&ApiKeyId::from_random([byte; 16]));
    assert_eq!(wait(key(1)), None);
    assert_eq!(wait(key(1)), Some(Duration::from_secs(60)));
    assert_eq!(wait(key(2)), None);
    let link = |file| with_link("o", file, |link| wait(limits.admit_link(link)));
    assert_eq!(link("f"), None);
    assert_eq!(link("f"), Some(Duration::from_secs(60)));
    assert_eq!(link("g"), None);
}

#[test]
fn a_place_is_taken_everywhere_or_nowhere_and_given_back() {
    let (_, limits) = limits(&RateLimits {
        address: downloads(2),
        link: downloads(1),
        organization: downloads(3),
        ..RateLimits::default()
    });
    let begin = |organization: &str, file: &str, client: &str| {
        with_link(organization, file, |link| {
            limits.admit_download(link, address(client))
        })
    };
    let first = begin("o", "f", "192.0.2.1").unwrap();
    assert!(first.is_some());
    // The link's place is taken; the others' were not kept.
    for _ in 0..9 {
        let second = begin("o", "f", "192.0.2.2");
        assert_eq!(wait(second), Some(Duration::from_secs(1)));
    }
    let others = [
        begin("o", "g", "192.0.2.2").unwrap(),
        begin("o", "h", "192.0.2.2").unwrap(),
    ];
    assert_eq!(
        wait(begin("o", "i", "192.0.2.3")),
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        wait(begin("p", "i", "192.0.2.2")),
        Some(Duration::from_secs(1))
    );
    assert_eq!(wait(begin("p", "i", "192.0.2.3")), None);
    drop(others);
    assert_eq!(wait(begin("o", "i", "192.0.2.2")), None);
    drop(first);
    assert_eq!(wait(begin("o", "f", "192.0.2.2")), None);
}

#[test]
fn who_is_refused_a_place_waits_for_the_link_s_next_request_too() {
    let (_, limits) = limits(&RateLimits {
        link: Rule {
            requests_per_minute: 2,
            at_once: 1,
            ..Rule::default()
        },
        ..RateLimits::default()
    });
    with_link("o", "f", |link| {
        limits.admit_link(link).unwrap();
        let _first = limits.admit_download(link, None).unwrap();
        limits.admit_link(link).unwrap();
        let second = limits.admit_download(link, None);
        assert_eq!(wait(second), Some(Duration::from_secs(30)));
    });
}

#[test]
fn turns_are_one_queue_and_come_no_faster_than_the_rate() {
    let rate = 320_000;
    let (clock, limits) = limits(&RateLimits {
        link: bytes(rate),
        address: bytes(10 * rate),
        ..RateLimits::default()
    });
    with_link("o", "f", |link| {
        let admitted = limits.admit_download(link, address("192.0.2.1"));
        let admitted = admitted.unwrap().unwrap();
        let mut paces = [admitted.pace().unwrap(), admitted.pace().unwrap()];
        let (mut sent, mut latest) = (0, Duration::ZERO);
        for turn in 0..400 {
            let pace = &mut paces[turn % 2];
            latest = pace.grant(u64::MAX);
            assert_eq!(pace.granted(), rate / PIECES_A_SECOND);
            pace.spend(pace.granted());
            sent += rate / PIECES_A_SECOND;
        }
        // A second's worth goes at once.
        assert_eq!(latest, Duration::from_millis(sent * 1_000 / rate - 1_000));
        // Who is granted less than it takes gives the rest back, and who goes away all of it.
        let mut gone = admitted.pace().unwrap();
        let then = gone.grant(u64::MAX);
        drop(gone);
        let next = paces[0].grant(7);
        assert_eq!(paces[0].granted(), 7);
        assert!(next < then && next > latest, "{latest:?} {next:?} {then:?}");
        paces[0].spend(7);
        assert!(!paces[1].spend_at_once(1));
        clock.move_on(20 * SECOND);
        assert!(paces[1].spend_at_once(rate));
        assert!(!paces[1].spend_at_once(1));
    });
}

#[test]
fn however_low_the_rate_some_bytes_go_out() {
    let (_, limits) = limits(&RateLimits {
        organization: bytes(1),
        ..RateLimits::default()
    });
    with_link("o", "f", |link| {
        let admitted = limits.admit_download(link, None).unwrap().unwrap();
        let mut pace = admitted.pace().unwrap();
        assert_eq!(pace.grant(5_000), Duration::ZERO);
        pace.spend(1_024);
        assert_eq!(pace.granted(), 0);
        assert_eq!(pace.grant(10), Duration::from_secs(10));
        pace.spend(10);
    });
}

/// A million addresses, one request each: there are never more entries than there may be, who was at its
/// limit stays at it, and the newcomers of a part that is full are limited together.
#[test]
fn a_flood_of_addresses_neither_grows_the_table_nor_lifts_a_limit() {
    let (clock, limits) = limits(&RateLimits {
        address: requests(2),
        ..RateLimits::default()
    });
    let table = limits.addresses.as_ref().unwrap();
    let ours = address("192.0.2.1");
    for _ in 0..2 {
        limits.admit_address(ours).unwrap();
    }
    let stranger = |n: u32| Some(IpAddr::from(0x0a00_0000_u32.wrapping_add(n).to_be_bytes()));
    let mut let_through = 0;
    for n in 0..1_000_000 {
        let_through += usize::from(limits.admit_address(stranger(n)).is_ok());
        if n % 100_000 == 0 {
            assert!(limits.admit_address(ours).is_err(), "after {n}");
        }
    }
    assert_eq!(table.len(), ENTRIES_MAX);
    // One for each entry, and of each part that is full two for all the others.
    assert_eq!(let_through, ENTRIES_MAX - 1 + 64 * 2);
    assert!(limits.admit_address(stranger(2_000_000)).is_err());
    // When all is paid for, they make room, and what the others had together is forgotten with it.
    clock.move_on(61 * SECOND);
    for n in 3_000_000..3_001_000 {
        limits.admit_address(stranger(n)).unwrap();
        limits.admit_address(stranger(n)).unwrap();
        assert!(limits.admit_address(stranger(n)).is_err());
    }
    assert!(table.len() < ENTRIES_MAX);
}

#[test]
fn a_download_that_goes_on_keeps_its_entry_through_a_flood() {
    let (_, limits) = limits(&RateLimits {
        address: downloads(1),
        ..RateLimits::default()
    });
    let ours = address("192.0.2.1");
    with_link("o", "f", |link| {
        let going_on = limits.admit_download(link, ours).unwrap();
        for n in 0..200_000_u32 {
            let stranger = Some(IpAddr::from(n.to_be_bytes()));
            assert!(limits.admit_download(link, stranger).is_ok());
        }
        assert!(limits.addresses.as_ref().unwrap().len() <= ENTRIES_MAX);
        assert!(limits.admit_download(link, ours).is_err());
        drop(going_on);
        assert!(limits.admit_download(link, ours).is_ok());
    });
}

#[test]
fn of_many_threads_no_more_get_through_than_may() {
    let (_, limits) = limits(&RateLimits {
        address: requests(100),
        link: downloads(7),
        ..RateLimits::default()
    });
    let through: u64 = std::thread::scope(|scope| {
        let ask = || (0..1_000).filter(|_| limits.admit_address(address("::1")).is_ok());
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(move || ask().count() as u64))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(through, 100);
    with_link("o", "f", |link| {
        let kept: Vec<Admitted> = std::thread::scope(|scope| {
            let begin = || (0..10).filter_map(|_| limits.admit_download(link, None).ok().flatten());
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(move || begin().collect::<Vec<_>>()))
                .collect();
            let all = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            all.collect()
        });
        assert_eq!(kept.len(), 7);
    });
}

#[test]
fn seconds_to_wait_are_whole_and_never_too_few() {
    let whole = crate::gateway::refusal::whole_seconds;
    let told: BTreeSet<u64> = [0, 1, 999_999_999, 1_000_000_000]
        .map(|nanos| whole(Duration::from_nanos(nanos)))
        .into();
    assert_eq!(told, [1].into());
    assert_eq!(whole(Duration::from_nanos(1_000_000_001)), 2);
    assert_eq!(whole(Duration::MAX), u64::MAX);
}
