//! GETs of many small files, each by its own link: of one organization, and of as many as there are files.

use std::fs;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::get::{Goals, judge};
use crate::Bench;
use crate::beside;
use crate::links::Signer;
use crate::load::{Client, Target};
use crate::nginx;
use crate::process::Outcome;
use crate::report::{Bound, Rounds, Spread};
use crate::servers::{self, Expected, Match, Peers, alternate};
use crate::site::Site;
use crate::sites::{HALLPASS, Sites};

const ORGANIZATION: &str = "org_default";
/// The processor time of a GET whose row is not in memory, at most, in microseconds.
const COLD_MICROS_MAX: f64 = 25.0;

pub(super) fn thousand(bench: &mut Bench) -> Outcome<()> {
    many(bench, "many", 1_000, &Goals::default())
}

pub(super) fn hundred_thousand(bench: &mut Bench) -> Outcome<()> {
    let count = if bench.is_quick { 2_000 } else { 100_000 };
    many(bench, "many-100k", count, &goals())
}

pub(super) fn million(bench: &mut Bench) -> Outcome<()> {
    let count = if bench.is_quick { 3_000 } else { 1_000_000 };
    many(bench, "many-1m", count, &goals())
}

fn goals() -> Goals {
    Goals {
        cpu_of_usual_nginx: Some(1.0),
        ..Goals::default()
    }
}

fn many(bench: &mut Bench, case: &'static str, count: usize, goals: &Goals) -> Outcome<()> {
    let names = bench.sites.add_many("many", count)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let ours = bench
        .sites
        .line_up(&gateways, "", |site, _| links(site, &names))?;
    let [first, ..] = ours.as_slice() else {
        return Err("no gateway".into());
    };
    let file = names.first().ok_or("no files")?;
    let file = bench.sites.main.file(file)?.clone();
    let expected = Expected::Whole(&file);
    let target = first.target.clone();
    let like = servers::check(HALLPASS, first.at, &target.sample(), expected, None)?;
    let theirs = Target::Any(names.iter().map(|name| nginx::link(name)).collect());
    let peers = Peers::of_nginx(bench, &theirs, &like)?;
    let counted = beside::counted(&ours);
    let mut contenders = ours;
    contenders.extend(peers.line_up(&theirs, &target, false));
    let of = Match {
        case,
        client: Client::Saturating,
        expected,
        tls: None,
    };
    bring_into_memory(&bench.sites.main, &names)?;
    let rounds = alternate(bench, of, &contenders)?;
    judge(bench, case, &rounds, goals);
    if goals.cpu_of_usual_nginx.is_some() {
        judge_cold(bench, case, &rounds);
    }
    beside::judge(bench, case, &rounds);
    drop(contenders);
    drop((gateways, peers));
    beside::count(bench, None, case, &counted, expected.shape())
}

/// Reads all files once, and looks up all names of theirs, so that none of the servers waits for the disk in the place of
/// those after it.
fn bring_into_memory(site: &Site, names: &[String]) -> Outcome<()> {
    for name in names {
        fs::read(site.www().join(name))?;
    }
    let mut folders = vec![site.data_dir().join("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.metadata()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Holds the processor time of a GET against its bound, whether its row is in memory or not.
fn judge_cold(bench: &mut Bench, case: &str, rounds: &[Rounds]) {
    let ours = rounds.iter().find(|rounds| rounds.server == HALLPASS);
    if let Some(ours) = ours {
        let what = format!("{case}: CPU a request");
        let spread = Spread::of(ours.cpu());
        let bound = Bound::AtMost(COLD_MICROS_MAX);
        bench.report.goal(&what, bound, " µs", spread);
    }
}

/// A link for each of these files.
fn links(site: &Site, names: &[String]) -> Outcome<Target> {
    let signer = Signer::new(site)?;
    let link = |name: &String| signer.link(ORGANIZATION, &site.file(name)?.id);
    Ok(Target::Any(
        names.iter().map(link).collect::<Outcome<Vec<_>>>()?.into(),
    ))
}

/// GETs of files that belong to an organization each, beside GETs of as many files of one organization.
pub(super) fn organizations(bench: &mut Bench) -> Outcome<()> {
    let case = "orgs";
    let count = if bench.is_quick { 500 } else { 10_000 };
    let directory = bench.disk.join(case);
    let beside = bench
        .sites
        .beside
        .as_ref()
        .map(|site| site.binary().to_owned());
    let mut sites = Sites::new(&bench.binary, beside.as_deref(), &directory)?;
    let together = sites.add_many("one", count)?;
    let apart = sites.add_many("own", count)?;
    for site in sites.each_mut() {
        spread(site, &apart)?;
    }
    let (ones, owns) = (sites.start(&bench.identity)?, sites.start(&bench.identity)?);
    let mut contenders =
        sites.line_up(&ones, "one organization", |site, _| links(site, &together))?;
    contenders.extend(sites.line_up(&owns, "each its own", |site, _| {
        let signer = Signer::new(site)?;
        let link = |name: &String| signer.link(&organization_of(name), &site.file(name)?.id);
        Ok(Target::Any(
            apart.iter().map(link).collect::<Outcome<Vec<_>>>()?.into(),
        ))
    })?);
    let counted = beside::counted(&contenders);
    let of = Match {
        case,
        client: Client::Saturating,
        expected: Expected::Good,
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    judge_organizations(bench, &rounds);
    beside::judge(bench, case, &rounds);
    drop(contenders);
    drop((ones, owns));
    beside::count(bench, Some(&sites), case, &counted, Expected::Good.shape())?;
    fs::remove_dir_all(directory)?;
    Ok(())
}

fn judge_organizations(bench: &mut Bench, rounds: &[Rounds]) {
    let mut ours = rounds.iter().filter(|rounds| rounds.server == HALLPASS);
    if let (Some(one), Some(own)) = (ours.next(), ours.next()) {
        let ratio = Spread::of_ratios(&own.cpu(), &one.cpu());
        let what = "orgs: CPU a request, of that for files of one organization";
        bench.report.goal(what, Bound::AtMost(1.2), " ×", ratio);
    }
}

fn organization_of(name: &str) -> String {
    format!("org_{name}")
}

/// Gives each of these files, which all belong to one organization, an organization of its own. Nothing but SQL does so many
/// in seconds; no gateway may run.
fn spread(site: &Site, names: &[String]) -> Outcome<()> {
    let path = site.data_dir().join("catalogue.sqlite3");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(path);
        let mut connection: SqliteConnection = options.foreign_keys(false).connect().await?;
        let mut transaction = connection.begin().await?;
        for name in names {
            let id = organization_of(name);
            let file = &site.file(name)?.id;
            for statement in SPREAD {
                let query = sqlx::query(statement).bind(&id).bind(file);
                query.execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(connection.close().await?)
    })
}

/// An organization `?1` as another one is, with a space, and the file `?2`.
const SPREAD: [&str; 4] = [
    "INSERT INTO organization (id, name, epoch, ready_files, kept_files, kept_bytes, created_at) \
     SELECT ?1, name, epoch, 1, 1, 1024, created_at FROM organization WHERE id = 'org_default' AND ?2 <> ''",
    "INSERT INTO space (organization, id, name, created_at) \
     SELECT ?1, id, name, created_at FROM space WHERE organization = 'org_default' AND ?2 <> ''",
    "UPDATE file SET organization = ?1 WHERE organization = 'org_default' AND id = ?2",
    "UPDATE organization SET ready_files = ready_files - 1, kept_files = kept_files - 1, \
     kept_bytes = kept_bytes - 1024 WHERE id = 'org_default' AND ?1 <> ?2",
];
