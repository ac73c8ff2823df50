//! The cases. Each can be run alone, and makes what it needs.

use super::Bench;
use super::process::Outcome;

mod desk;
mod get;
mod latency;
mod links;
mod list;
mod many;
mod memory;
mod shares;
mod start;
mod tail;
mod tickets;
mod upload;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
pub(crate) const GIB: u64 = 1024 * MIB;

/// A case: its name, what it is about, and how it is run.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// True if it is run when no case is named.
    pub(crate) is_usual: bool,
    pub(crate) run: fn(&mut Bench) -> Outcome<()>,
}

/// A case that is run when none is named.
const fn usual(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Bench) -> Outcome<()>,
) -> Case {
    Case {
        name,
        about,
        is_usual: true,
        run,
    }
}

/// Every case, in the order in which they are run.
pub(crate) const ALL: [Case; 23] = [
    usual(
        "get-1k",
        "signed GET of 1 KiB, saturated and by wrk",
        get::kib_1,
    ),
    usual("get-16k", "signed GET of 16 KiB", get::kib_16),
    usual("get-64k", "signed GET of 64 KiB", get::kib_64),
    usual("get-1m", "signed GET of 1 MiB", get::mib_1),
    usual("get-64m", "signed GET of 64 MiB", get::mib_64),
    usual(
        "range",
        "64 KiB at a random place of a 1 GiB file",
        get::range,
    ),
    usual(
        "https",
        "signed GET of 1 KiB, 64 KiB and 1 MiB over TLS",
        get::https,
    ),
    usual(
        "latency",
        "latency at half load, in an open loop",
        latency::run,
    ),
    usual(
        "many",
        "signed GET of 1 KiB over 1,000 files and links",
        many::thousand,
    ),
    usual("many-100k", "the same over 100,000", many::hundred_thousand),
    Case {
        name: "many-1m",
        about: "the same over 1,000,000, which take a quarter of an hour to store",
        is_usual: false,
        run: many::million,
    },
    usual(
        "orgs",
        "the same over 10,000 organizations of one file each",
        many::organizations,
    ),
    usual(
        "mint",
        "one link by the Aitronos call, a hundred by the KooDrive call",
        links::mint,
    ),
    usual(
        "ticket",
        "GET of 1 KiB by tickets of counted downloads, beside links",
        tickets::run,
    ),
    usual(
        "page",
        "the page of a share, beside a GET of 1 KiB",
        shares::page,
    ),
    usual(
        "password",
        "a wrong password of a share, beside the hash alone",
        shares::password,
    ),
    usual(
        "desk",
        "`hallpass share` of a sparse file of 20 GiB, to its link",
        desk::run,
    ),
    usual("list", "pages of 100 among 10,000 files", list::run),
    usual(
        "idle",
        "memory of 5,000 idle connections, and once they are gone",
        memory::idle,
    ),
    usual(
        "readers",
        "memory while 100 read a file of 4 GiB",
        memory::readers,
    ),
    usual(
        "tail",
        "99th percentile beside 5,000 idle and 200 slow connections",
        tail::run,
    ),
    usual(
        "start",
        "start to first byte with a million files in the catalogue",
        start::run,
    ),
    usual("upload", "upload of 4 GiB beside sha256sum", upload::run),
];
