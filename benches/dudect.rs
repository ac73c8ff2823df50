//! Whether the time that a forged link takes tells how much of its MAC is right.
//!
//! `cargo bench --bench dudect` verifies forged links of three kinds, in an order drawn at random: the first
//! byte of the MAC is wrong, the last one is, or all after a good half are. For each two kinds it prints
//! Welch's t of their times, after the method of "Dude, is my code constant time?" (Reparaz, Balasch,
//! Verbauwhede, 2017): the slow tail is cut at several places, and the largest |t| counts. Above 4.5 the
//! times differ, and the exit code is 1. On a busy machine it says nothing either way, and prints as a
//! measure of that how far the same kind is from itself.
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

/// Where times differ, by the method.
const T_MAX: f64 = 4.5;
const NOW: u64 = 1_779_118_492;
/// The characters of a MAC, and how many forgeries of each kind there are.
const MAC_CHARS: usize = 43;
const FORGERIES: usize = 60;
/// The slowest of so many in a hundred are left out, one after the other.
const CUTS: [usize; 5] = [0, 5, 10, 25, 50];
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

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let of = |sample: &[f64]| {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (of(a), of(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// The largest |t| of two kinds, over all cuts of their slow tails.
fn largest(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let t_of = |cut: &usize| {
        let limit = all[all.len() * (100 - cut) / 100 - 1];
        let kept = |sample: &[f64]| {
            sample
                .iter()
                .copied()
                .filter(|x| *x <= limit)
                .collect::<Vec<_>>()
        };
        welch(&kept(a), &kept(b)).abs()
    };
    CUTS.iter().map(t_of).fold(0.0, f64::max)
}

fn main() -> ExitCode {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let rounds = if smoke { 2_000 } else { 2_000_000 };
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
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..rounds {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let drawn = usize::try_from(state >> 33).unwrap();
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
    let mut worst: f64 = 0.0;
    for (a, b) in [(0, 1), (0, 2), (1, 2), (0, 3)] {
        let t = largest(&times[a], &times[b]);
        println!(
            "{} and {}: |t| = {t:.2} of {} and {}",
            KINDS[a],
            KINDS[b],
            times[a].len(),
            times[b].len()
        );
        if b != 3 {
            worst = worst.max(t);
        }
    }
    println!("largest: {worst:.2}; {T_MAX} is where times differ");
    if worst > T_MAX && !smoke {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
