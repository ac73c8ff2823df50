//! The page of a share beside a small download, and a wrong password beside the hash alone.

use std::fs;
use std::net::SocketAddr;

use hallpass::sign::password::{Password, SALT_BYTES};
use serde_json::json;

use super::KIB;
use crate::Bench;
use crate::beside;
use crate::client::{Request, connect};
use crate::load::{Client, Target, float};
use crate::process::{Core, Outcome, Running, pin};
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{Expected, Match, alternate};
use crate::sites::HALLPASS;

/// How many times the processor time of a GET of 1 KiB a page may take.
const PAGE_RATIO_MAX: f64 = 5.0;
/// How many times that of the hash alone a wrong password may take.
const PASSWORD_RATIO_MAX: f64 = 1.1;

const FILE: &str = "get-1k";
const BY_LINKS: &str = "a GET of 1 KiB";
const PAGES: &str = "a page";

/// How often one address may guess at one share at once.
const GUESSES_OF_ONE: usize = 5;
/// The shares that are guessed at in one round.
const SHARES_A_ROUND: usize = 8;

/// The page of a share of one file, to a browser that has not been there.
pub(super) fn page(bench: &mut Bench) -> Outcome<()> {
    let case = "page";
    bench.sites.add(FILE, KIB)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let sites = &bench.sites;
    let mut contenders = sites.line_up(&gateways, BY_LINKS, |site, at| {
        Ok(Target::get(&site.mint(at, FILE)?))
    })?;
    contenders.extend(sites.line_up(&gateways, PAGES, |site, at| {
        Ok(Target::Same(Request {
            headers: vec![("Accept", "text/html,*/*;q=0.8".into())],
            ..Request::get(site.share(at, FILE, &json!({}))?)
        }))
    })?);
    let of = Match {
        case,
        client: Client::Saturating,
        expected: Expected::Good,
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    let ours = |what: &str| {
        let mut all = rounds.iter();
        let ours = all.find(|rounds| rounds.server == HALLPASS && rounds.what == what);
        ours.map(Rounds::cpu).ok_or("a contender is missing")
    };
    let ratio = Spread::of_ratios(&ours(PAGES)?, &ours(BY_LINKS)?);
    let what = format!("{case}: CPU a page, of a GET of 1 KiB");
    bench
        .report
        .goal(&what, Bound::AtMost(PAGE_RATIO_MAX), " ×", ratio);
    beside::judge(bench, case, &rounds);
    Ok(())
}

/// Wrong passwords, one after the other, in turns with the same hash on the same core.
pub(super) fn password(bench: &mut Bench) -> Outcome<()> {
    let case = "password";
    bench.sites.add(FILE, KIB)?;
    let (running, at) = bench.sites.main.serve(Core::Server)?;
    let shares = if bench.is_quick { 1 } else { SHARES_A_ROUND };
    let (mut wrong, mut alone) = (Vec::new(), Vec::new());
    for round in 0..=bench.rounds {
        // One that was guessed at often is asked for a while later.
        let with_password = json!({"password": "correct horse battery staple"});
        let pages = (0..shares).map(|_| bench.sites.main.share(at, FILE, &with_password));
        let pages: Vec<String> = pages.collect::<Outcome<_>>()?;
        let hashed = hashes(shares * GUESSES_OF_ONE)?;
        let guessed = guesses(&running, at, &pages)?;
        // The first one warms up.
        if round == 0 {
            continue;
        }
        for (what, micros, all) in [
            ("the hash alone", hashed, &mut alone),
            ("a wrong password", guessed, &mut wrong),
        ] {
            bench
                .report
                .figure(case, round, what, micros, "µs of CPU")?;
            all.push(micros);
        }
    }
    let [of_hash, of_guess] = [&alone, &wrong].map(|all| Spread::of(all.iter().copied()).text());
    bench.report.say(&format!(
        "{case}: CPU of the hash alone, µs: {of_hash}; of a wrong password, µs: {of_guess}"
    ));
    let ratio = Spread::of_ratios(&wrong, &alone);
    let what = format!("{case}: CPU a wrong password, of the hash alone");
    bench
        .report
        .goal(&what, Bound::AtMost(PASSWORD_RATIO_MAX), " ×", ratio);
    running.stop()
}

/// Microseconds of processor time of the gateway that a guess takes.
fn guesses(running: &Running, at: SocketAddr, pages: &[String]) -> Outcome<f64> {
    let before = running.cpu_time()?;
    let stream = connect(at)?;
    for page in pages {
        for _ in 0..GUESSES_OF_ONE {
            let request = guess(page, "a wrong guess");
            let reply = request.send_over(&stream, at)?;
            if reply.status != 401 {
                return Err(format!("a guess was answered {}", reply.status).into());
            }
        }
    }
    let nanos = running.cpu_time()?.since(&before);
    Ok(float(nanos) / 1e3 / float((pages.len() * GUESSES_OF_ONE) as u64))
}

/// The form with which somebody guesses.
fn guess(page: &str, password: &str) -> Request {
    Request {
        method: "POST",
        headers: vec![("Content-Type", "application/x-www-form-urlencoded".into())],
        body: format!("password={}", password.replace(' ', "+")),
        ..Request::get(format!("{page}/open"))
    }
}

/// Microseconds of processor time that a hash takes, on the server's core.
fn hashes(count: usize) -> Outcome<f64> {
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            pin(0)?;
            let password = Password::new("a wrong guess".into())?;
            let phc = password.hash([7; SALT_BYTES])?;
            let before = of_this_thread()?;
            for _ in 0..count {
                std::hint::black_box(password.has_hash(&phc)?);
            }
            Ok(float(of_this_thread()? - before) / 1e3 / float(count as u64))
        });
        hashing.join().map_err(|_| "a hash panicked")?
    })
}

/// The processor time of this thread, in nanoseconds.
fn of_this_thread() -> Outcome<u64> {
    let line = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = line.split_ascii_whitespace().next();
    Ok(nanos.ok_or("no time in schedstat")?.parse()?)
}
