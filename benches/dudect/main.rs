//! Whether the time that a refusal takes tells what nobody should learn.
//!
//! `cargo bench --bench dudect` verifies forged links of three kinds, in an order drawn at random: the first
//! byte of the MAC is wrong, the last one is, or all after a good half are. For each two kinds it prints
//! Welch's t of their times, after the method of "Dude, is my code constant time?" (Reparaz, Balasch,
//! Verbauwhede, 2017): the slow tail is cut at several places, and the largest |t| counts. Above 4.5 the
//! times differ, and the exit code is 1. On a busy machine it says nothing either way, and prints as a
//! measure of that how far the same kind is from itself.
//!
//! Then it does the same over a socket, with the real binary (`socket`): forged links of organizations whose
//! links were opened of late and of others, and wrong signatures of apps that there are and of others.
//! `--socket` does this alone, `--rounds N` takes so many samples of all kinds together, `--binary PATH`
//! measures another binary, `--raw DIR` keeps every time.
//!
//! `--smoke` measures little, to see in seconds that everything works; nothing is missed then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // What fails here has failed.
#![allow(clippy::cast_precision_loss)] // Of statistics.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::revocation::Revocations;
use hallpass::model::time::UnixSeconds;
use hallpass::sign::claims::Claims;
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use hallpass::sign::secret::Secret;
use hallpass::sign::url;
use hallpass::sign::verify::{Attempt, Conditions, Rejection};

mod socket;
mod statistics;

use statistics::{Drawn, T_MAX, compare};

const NOW: u64 = 1_779_118_492;
/// The characters of a MAC, and how many forgeries of each kind there are.
const MAC_CHARS: usize = 43;
const FORGERIES: usize = 60;
const KINDS: [&str; 4] = ["first byte", "last byte", "second half", "first byte again"];

fn seconds(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// A keyring with one key, and the URL of a link that it made.
fn link() -> (Keyring, String) {
    let key = SigningKey {
        kid: Kid::parse("a").unwrap(),
        state: KeyState::Active,
        secret: Some(Secret::new((0..32).collect()).unwrap()),
        created_at: seconds(NOW),
    };
    let grant = Grant {
        organization: OrganizationId::parse("org_123").unwrap(),
        file: FileId::parse("file_abc123").unwrap(),
        expires: seconds(NOW + 3_600),
        claims: Claims::none(),
    };
    let keyring = Keyring::new(vec![key]).unwrap();
    let url = keyring.mint(&grant, 0, 0).url("https://x");
    (keyring, url)
}

/// The link with these characters of its MAC replaced by others, each time by different ones.
fn forged(url: &str, from: usize, to: usize, number: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let start = url.len() - MAC_CHARS;
    let mut bytes = url.as_bytes().to_vec();
    for byte in &mut bytes[start + from..start + to] {
        let place = LETTERS.iter().position(|letter| letter == byte).unwrap();
        *byte = LETTERS[(place + 1 + number) % LETTERS.len()];
    }
    String::from_utf8(bytes).unwrap()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    let smoke = has("--smoke");
    let mut worst: f64 = 0.0;
    if !has("--socket") {
        worst = worst.max(in_memory(if smoke { 2_000 } else { 2_000_000 }));
    }
    worst = worst.max(socket::measure(&socket::Asked::of(&words, smoke)));
    println!("largest: {worst:.2}; {T_MAX} is where times differ");
    if worst > T_MAX && !smoke {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Verifies so many forged links, and answers the largest |t|.
fn in_memory(rounds: usize) -> f64 {
    let (keyring, url) = link();
    // The last character but one: not all bits of the last one count.
    let of = |kind: usize, number| match kind {
        1 => forged(&url, MAC_CHARS - 2, MAC_CHARS - 1, number),
        2 => forged(&url, MAC_CHARS / 2, MAC_CHARS - 1, number),
        _ => forged(&url, 0, 1, number),
    };
    let links: Vec<Vec<String>> = (0..KINDS.len())
        .map(|kind| (0..FORGERIES).map(|number| of(kind, number)).collect())
        .collect();
    let revocations = Revocations::default();
    let conditions = Conditions {
        now: seconds(NOW),
        lifetime_max: 604_800,
        not_before_leeway: 0,
        client: None,
        revocations: &revocations,
    };
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); KINDS.len()];
    let mut order = Drawn::new();
    for round in 0..rounds {
        let drawn = order.next();
        let kind = drawn % KINDS.len();
        let link = &links[kind][(drawn / KINDS.len()) % FORGERIES];
        let (organization, file, query) = url::split(link).unwrap();
        let attempt = Attempt {
            organization,
            file,
            query,
        };
        let begun = Instant::now();
        let answer = black_box(keyring.verify(black_box(&attempt), &conditions));
        let took = begun.elapsed();
        assert!(matches!(answer, Err(Rejection::MacMismatch)));
        // The first ones warm up.
        if round > rounds / 50 {
            times[kind].push(took.as_nanos() as f64);
        }
    }
    compare(&KINDS, &times, &[(0, 1), (0, 2), (1, 2), (0, 3)])
}
