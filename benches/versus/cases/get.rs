//! Signed GETs, beside nginx and the floor.

use std::net::SocketAddr;

use super::{GIB, KIB, MIB};
use crate::Bench;
use crate::load::Target;
use crate::process::{Core, Outcome, Running};
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{
    self, BARE, Contender, Expected, FLOOR, HALLPASS, Nginx, alternate, nginx_link, start_bare,
    start_floor, start_nginx,
};

/// Up to this size Hallpass sends a file from memory, and hyper alone stands beside it.
const FROM_MEMORY_MAX: u64 = 16 * KIB;

/// The goals of one size.
#[derive(Default)]
struct Goals {
    cpu_of_nginx: Option<f64>,
    cpu_of_floor: Option<f64>,
    rate_of_nginx: Option<f64>,
}

pub(super) fn kib_1(bench: &mut Bench) -> Outcome<()> {
    let goals = Goals {
        cpu_of_nginx: Some(0.55),
        cpu_of_floor: Some(1.20),
        ..Goals::default()
    };
    whole(bench, "get-1k", KIB, &goals)
}

pub(super) fn kib_16(bench: &mut Bench) -> Outcome<()> {
    whole(bench, "get-16k", 16 * KIB, &Goals::default())
}

pub(super) fn kib_64(bench: &mut Bench) -> Outcome<()> {
    let goals = Goals {
        cpu_of_nginx: Some(0.90),
        cpu_of_floor: Some(1.08),
        ..Goals::default()
    };
    whole(bench, "get-64k", 64 * KIB, &goals)
}

pub(super) fn mib_1(bench: &mut Bench) -> Outcome<()> {
    whole(bench, "get-1m", MIB, &Goals::large())
}

pub(super) fn mib_64(bench: &mut Bench) -> Outcome<()> {
    whole(bench, "get-64m", 64 * MIB, &Goals::large())
}

impl Goals {
    fn large() -> Self {
        Self {
            rate_of_nginx: Some(1.0),
            cpu_of_floor: Some(1.08),
            cpu_of_nginx: None,
        }
    }
}

/// GETs of one whole file.
fn whole(bench: &mut Bench, case: &'static str, size: u64, goals: &Goals) -> Outcome<()> {
    bench.site.add(case, size)?;
    let (hallpass, at) = bench.site.serve(Core::Server)?;
    let target = Target::get(&bench.site.mint(at, case)?);
    let file = bench.site.file(case)?.clone();
    let like = servers::check(HALLPASS, at, &target.sample(), Expected::Whole(&file))?.0;
    let mut plain = vec![(FLOOR, start_floor(bench, &like, case, false)?)];
    if size <= FROM_MEMORY_MAX {
        plain.push((BARE, start_bare(bench, &like, case)?));
    }
    let nginx = all_nginx(bench)?;
    let link = Target::get(&nginx_link(case)?);
    let contenders = line_up((&hallpass, at, target), &nginx, &link, &plain);
    let rounds = alternate(bench, case, &contenders, Expected::Whole(&file))?;
    judge(bench, case, &rounds, goals);
    Ok(())
}

/// GETs of a part somewhere in a large file.
pub(super) fn range(bench: &mut Bench) -> Outcome<()> {
    let (case, span, length) = ("range", GIB, 64 * KIB);
    bench.site.add(case, span)?;
    let (hallpass, at) = bench.site.serve(Core::Server)?;
    let ranges = |target| Target::Ranges {
        target,
        span,
        length,
    };
    let target = ranges(bench.site.mint(at, case)?);
    let file = bench.site.file(case)?.clone();
    // All of it once, so that every byte was looked at and is in memory.
    servers::check(
        HALLPASS,
        at,
        &Target::get(&bench.site.mint(at, case)?).sample(),
        Expected::Whole(&file),
    )?;
    let like = servers::check(HALLPASS, at, &target.sample(), Expected::Part(length))?.0;
    let plain = [(FLOOR, start_floor(bench, &like, case, true)?)];
    let nginx = all_nginx(bench)?;
    let link = ranges(nginx_link(case)?);
    let contenders = line_up((&hallpass, at, target), &nginx, &link, &plain);
    let rounds = alternate(bench, case, &contenders, Expected::Part(length))?;
    let goals = Goals {
        cpu_of_nginx: Some(0.90),
        ..Goals::default()
    };
    judge(bench, case, &rounds, &goals);
    Ok(())
}

/// GETs of many small files, each by its own link.
pub(super) fn many(bench: &mut Bench) -> Outcome<()> {
    let names = bench.site.add_many()?;
    let (hallpass, at) = bench.site.serve(Core::Server)?;
    let ours: Vec<String> = names
        .iter()
        .map(|name| bench.site.mint(at, name))
        .collect::<Outcome<_>>()?;
    let theirs: Vec<String> = names
        .iter()
        .map(|name| nginx_link(name))
        .collect::<Outcome<_>>()?;
    let first = bench.site.file("many-0000")?.clone();
    let nginx = all_nginx(bench)?;
    let contenders = line_up(
        (&hallpass, at, Target::Any(ours)),
        &nginx,
        &Target::Any(theirs),
        &[],
    );
    alternate(bench, "many", &contenders, Expected::Whole(&first))?;
    Ok(())
}

/// Every nginx there is to compare with.
fn all_nginx(bench: &Bench) -> Outcome<Vec<(&'static str, Running, SocketAddr)>> {
    let start = |how: Nginx| {
        let (running, at) = start_nginx(bench, how)?;
        Ok((how.name, running, at))
    };
    Nginx::ALL.into_iter().map(start).collect()
}

fn line_up<'a>(
    (hallpass, at, target): (&'a Running, SocketAddr, Target),
    nginx: &'a [(&'static str, Running, SocketAddr)],
    link: &Target,
    plain: &'a [(&'static str, (Running, SocketAddr))],
) -> Vec<Contender<'a>> {
    let contender = |name, running, at, target: &Target| Contender {
        name,
        running,
        at,
        target: target.clone(),
    };
    let ours = contender(HALLPASS, hallpass, at, &target);
    let theirs = nginx
        .iter()
        .map(|(name, running, at)| contender(name, running, *at, link));
    let plain = plain
        .iter()
        .map(|(name, (running, at))| contender(name, running, *at, &target));
    std::iter::once(ours).chain(theirs).chain(plain).collect()
}

fn judge(bench: &mut Bench, case: &str, rounds: &[Rounds], goals: &Goals) {
    let of = |name: &str| rounds.iter().find(|rounds| rounds.server == name);
    let nginx = || Nginx::ALL.iter().filter_map(|how| of(how.name));
    let Some(ours) = of(HALLPASS) else { return };
    let median = |figures: &[f64]| Spread::of(figures.iter().copied()).median;
    let mut goal = |what: String, bound, ours: &[f64], theirs: &[f64]| {
        let ratio = Spread::of_ratios(ours, theirs);
        bench.report.goal(&what, bound, " ×", ratio);
    };
    let better = nginx()
        .map(Rounds::cpu)
        .min_by(|a, b| median(a).total_cmp(&median(b)));
    if let (Some(most), Some(theirs)) = (goals.cpu_of_nginx, better) {
        let what = format!("{case}: CPU a request, of nginx's best setting");
        goal(what, Bound::AtMost(most), &ours.cpu(), &theirs);
    }
    if let (Some(most), Some(floor)) = (goals.cpu_of_floor, of(FLOOR)) {
        let what = format!("{case}: CPU a request, of the floor");
        goal(what, Bound::AtMost(most), &ours.cpu(), &floor.cpu());
    }
    let faster = nginx()
        .map(Rounds::rate)
        .max_by(|a, b| median(a).total_cmp(&median(b)));
    if let (Some(least), Some(theirs)) = (goals.rate_of_nginx, faster) {
        let what = format!("{case}: requests a second, of nginx's best setting");
        goal(what, Bound::AtLeast(least), &ours.rate(), &theirs);
    }
}
