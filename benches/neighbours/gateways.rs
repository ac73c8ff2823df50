//! Four gateways of one installation: what deletes at one of them cost another, whose files nobody deletes.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{Request, connect};
use super::connection::Shape;
use super::load::{Target, float};
use super::process::{Core, Outcome, Running, pause};
use super::site::Site;

/// The gateways, the measured one included.
const GATEWAYS: usize = 4;
/// The deletes of one second.
const DELETES_A_SECOND: u32 = 100;
/// The turns with deletes, and as many without.
const TURNS: u32 = 5;
/// The most processor time that an answer may cost beside deletes, as a part of that without.
const COST_MAX: f64 = 1.05;

/// The measured gateway.
struct Measured {
    running: Running,
    at: SocketAddr,
    admin: SocketAddr,
    target: Target,
}

/// What one turn showed.
struct Turn {
    /// The processor time of an answer, in nanoseconds.
    cost: f64,
    answers: u64,
    /// Looks that no cache answered.
    misses: u64,
}

/// Measures links to the files of these names at one gateway, in turns with and without deletes of other files at
/// another one. Returns whether the goals are met.
pub(super) fn measure(site: &mut Site, names: &[String], time: Duration) -> Outcome<bool> {
    // And for a second more, as a turn is a little longer than that.
    let deletes = (u32::try_from(time.as_secs())? + 1) * DELETES_A_SECOND * TURNS;
    let others = site.add_many("gone", usize::try_from(deletes)?)?;
    let mut others = others.iter();

    let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (running, at) = site.serve_with_admin(Core::Server, admin)?;
    let gateways: Vec<_> = (1..GATEWAYS)
        .map(|_| site.serve(Core::Load))
        .collect::<Outcome<_>>()?;
    let (_, deleting_at) = gateways.first().ok_or("no other gateway")?;
    let links: Vec<String> = names
        .iter()
        .map(|name| site.mint(at, name))
        .collect::<Outcome<_>>()?;
    let measured = Measured {
        running,
        at,
        admin,
        target: Target::Any(links.into()),
    };

    measured.turn(Duration::from_secs(1))?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        without.push(measured.turn(time)?);
        let (turn, deleted) =
            beside_deletes(site, *deleting_at, &mut others, || measured.turn(time))?;
        let due = u64::from(DELETES_A_SECOND) * time.as_secs();
        if deleted * 10 < due * 9 {
            return Err(format!("only {deleted} of {due} files were deleted in time").into());
        }
        with.push(turn);
    }

    println!(
        "| | CPU an answer, median | answers | looks that no cache answered |\n|---|---|---|---|"
    );
    report("nobody deletes", &without);
    report("100 deletes a second at another gateway", &with);
    let cost = median(&with) / median(&without);
    let misses: u64 = with.iter().map(|turn| turn.misses).sum();
    let is_met = cost <= COST_MAX && misses == 0;
    println!(
        "goal beside deletes: no look at the database, CPU at most {COST_MAX} of that without: {misses} looks, {cost:.3}: {}",
        if is_met { "met" } else { "missed" }
    );
    Ok(is_met)
}

impl Measured {
    fn turn(&self, time: Duration) -> Outcome<Turn> {
        let shape = Shape {
            status: 200,
            length: Some(1024),
        };
        let (misses, used) = (self.misses()?, self.running.cpu_time()?);
        let tally = super::client(self.at, &self.target, shape, |spin| spin.saturate(time))?;
        let used = self.running.cpu_time()?.since(&used);
        Ok(Turn {
            cost: float(used) / float(tally.answers),
            answers: tally.answers,
            misses: self.misses()? - misses,
        })
    }

    /// Returns how many looks into its caches found nothing so far.
    fn misses(&self) -> Outcome<u64> {
        let reply = Request::get("/metrics").expect(self.admin, 200)?;
        let text = String::from_utf8(reply.body)?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("hallpass_cache_misses_total{"));
        let values = lines.map(|line| {
            let (_, value) = line.rsplit_once(' ').ok_or("a metric without a value")?;
            Ok(value.parse::<u64>()?)
        });
        values.sum()
    }
}

/// Deletes these files at a gateway, so many a second, while something is measured. Returns how many were deleted, too.
fn beside_deletes<'a, T>(
    site: &Site,
    at: SocketAddr,
    names: &mut (impl Iterator<Item = &'a String> + Send),
    measure: impl FnOnce() -> Outcome<T>,
) -> Outcome<(T, u64)> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let deleting = scope.spawn(|| {
            let stream = connect(at)?;
            let (begun, mut deleted) = (Instant::now(), 0);
            while !is_over.load(Ordering::Relaxed) {
                let name = names.next().ok_or("no file is left to delete")?;
                let request = Request {
                    method: "DELETE",
                    target: format!(
                        "/v1/organizations/org_default/files/{}",
                        site.file(name)?.id
                    ),
                    headers: vec![site.key_header()],
                    ..Request::default()
                };
                let status = request.send_over(&stream, at)?.status;
                if !matches!(status, 200 | 204) {
                    return Err(format!("a delete was answered {status}").into());
                }
                deleted += 1;
                let due = begun + Duration::from_secs(deleted) / DELETES_A_SECOND;
                pause(due.saturating_duration_since(Instant::now()));
            }
            Outcome::Ok(deleted)
        });
        let measured = measure();
        is_over.store(true, Ordering::Relaxed);
        let deleted = deleting.join().map_err(|_| "who deletes panicked")??;
        Ok((measured?, deleted))
    })
}

fn report(what: &str, turns: &[Turn]) {
    let answers: u64 = turns.iter().map(|turn| turn.answers).sum();
    let misses: u64 = turns.iter().map(|turn| turn.misses).sum();
    println!(
        "| {what} | {:.2} µs | {answers} | {misses} |",
        median(turns) / 1e3
    );
}

fn median(turns: &[Turn]) -> f64 {
    let mut costs: Vec<f64> = turns.iter().map(|turn| turn.cost).collect();
    costs.sort_by(f64::total_cmp);
    costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN)
}
