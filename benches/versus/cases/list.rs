//! Pages of a list over the API, beside another binary.

use crate::Bench;
use crate::beside;
use crate::client::Request;
use crate::load::{Client, Target};
use crate::process::Outcome;
use crate::report::{Bound, Spread};
use crate::servers::{Expected, Match, alternate};
use crate::sites::HALLPASS;

const CASE: &str = "list";
/// The processor time of a page, at most, in microseconds.
const MICROS_MAX: f64 = 3_000.0;
/// The pages that are asked for: the first one and one in the midst by number, and the first one by cursor.
const PAGES: [(&str, &str); 3] = [
    (
        "page 1 by number",
        "/v1/organizations/org_default/files?limit=100",
    ),
    (
        "page 10 by number",
        "/v1/organizations/org_default/files?limit=100&page=10",
    ),
    ("first page by cursor", "/v1/files?limit=100"),
];

pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    let count = if bench.is_quick { 2_000 } else { 10_000 };
    bench.sites.add_many("many", count)?;
    let gateways = bench.sites.start(&bench.identity)?;
    let mut contenders = Vec::new();
    for (what, target) in PAGES {
        contenders.extend(bench.sites.line_up(&gateways, what, |site, _| {
            Ok(Target::Same(Request {
                headers: vec![if target.starts_with("/v1/files") {
                    site.bearer_header()
                } else {
                    site.key_header()
                }],
                ..Request::get(target)
            }))
        })?);
    }
    let counted = beside::counted(&contenders);
    let of = Match {
        case: CASE,
        client: Client::Saturating,
        expected: Expected::Good,
        tls: None,
    };
    let rounds = alternate(bench, of, &contenders)?;
    for ours in rounds.iter().filter(|rounds| rounds.server == HALLPASS) {
        let what = format!("list: CPU of {}", ours.what);
        let spread = Spread::of(ours.cpu());
        bench
            .report
            .goal(&what, Bound::AtMost(MICROS_MAX), " µs", spread);
    }
    beside::judge(bench, CASE, &rounds);
    drop(contenders);
    drop(gateways);
    beside::count(bench, None, CASE, &counted, Expected::Good.shape())
}
