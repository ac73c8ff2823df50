//! The cases. Each can be run alone, and makes what it needs.

use super::Bench;
use super::process::Outcome;

mod get;
mod links;
mod memory;
mod start;
mod tail;
mod upload;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
pub(crate) const GIB: u64 = 1024 * MIB;

/// A case: its name, what it is about, and how it is run.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Bench) -> Outcome<()>,
}

/// Every case, in the order in which they are run.
pub(crate) const ALL: [Case; 13] = [
    Case {
        name: "get-1k",
        about: "signed GET of 1 KiB",
        run: get::kib_1,
    },
    Case {
        name: "get-16k",
        about: "signed GET of 16 KiB",
        run: get::kib_16,
    },
    Case {
        name: "get-64k",
        about: "signed GET of 64 KiB",
        run: get::kib_64,
    },
    Case {
        name: "get-1m",
        about: "signed GET of 1 MiB",
        run: get::mib_1,
    },
    Case {
        name: "get-64m",
        about: "signed GET of 64 MiB",
        run: get::mib_64,
    },
    Case {
        name: "range",
        about: "64 KiB at a random place of a 1 GiB file",
        run: get::range,
    },
    Case {
        name: "many",
        about: "signed GET of 1 KiB over a thousand files and links",
        run: get::many,
    },
    Case {
        name: "mint",
        about: "one link by the Aitronos call, a hundred by the KooDrive call",
        run: links::mint,
    },
    Case {
        name: "idle",
        about: "memory of 5,000 idle connections",
        run: memory::idle,
    },
    Case {
        name: "readers",
        about: "memory while 100 read a file of 4 GiB",
        run: memory::readers,
    },
    Case {
        name: "tail",
        about: "99th percentile beside 5,000 idle and 200 slow connections",
        run: tail::run,
    },
    Case {
        name: "start",
        about: "start to first byte with a million files in the catalogue",
        run: start::run,
    },
    Case {
        name: "upload",
        about: "upload of 4 GiB beside sha256sum",
        run: upload::run,
    },
];
