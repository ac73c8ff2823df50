//! Minting, beside our own small GET.

use serde_json::json;

use super::KIB;
use crate::Bench;
use crate::client::Request;
use crate::load::Target;
use crate::process::{Core, Outcome};
use crate::report::{Bound, Spread};
use crate::servers::{self, Contender, Expected, alternate};

/// How many links one call of the KooDrive API makes.
const BATCH: usize = 100;

/// One link a call, and a hundred a call, in turns with GETs of 1 KiB from the same server.
pub(super) fn mint(bench: &mut Bench) -> Outcome<()> {
    bench.site.add("get-1k", KIB)?;
    let many = bench.site.add_many()?;
    let (running, at) = bench.site.serve(Core::Server)?;
    let file = bench.site.file("get-1k")?.id.clone();
    let one = Request {
        headers: vec![bench.site.key_header()],
        ..Request::get(format!(
            "/v1/organizations/org_default/files/{file}/content"
        ))
    };
    let ids = many
        .iter()
        .take(BATCH)
        .map(|name| Ok(bench.site.file(name)?.id.clone()));
    let ids: Vec<String> = ids.collect::<Outcome<_>>()?;
    let batch = batch(bench, &ids);
    let reply = servers::check("the batch call", at, &batch, Expected::Good)?.0;
    let answer: serde_json::Value = serde_json::from_slice(&reply.body)?;
    let links = answer.get("downloads").and_then(|links| links.as_array());
    let made = links
        .into_iter()
        .flatten()
        .filter(|link| link.get("url").is_some());
    if made.count() != BATCH {
        return Err("the batch call made fewer links than were asked for".into());
    }
    let contender = |name, target| Contender {
        name,
        running: &running,
        at,
        target,
    };
    let contenders = [
        contender("GET of 1 KiB", Target::get(&bench.site.mint(at, "get-1k")?)),
        contender("mint", Target::Same(one)),
        contender("mint of 100", Target::Same(batch)),
    ];
    let rounds = alternate(bench, "mint", &contenders, Expected::Good)?;
    if let [get, mint, batch] = rounds.as_slice() {
        let ratio = Spread::of_ratios(&mint.cpu(), &get.cpu());
        let what = "mint: CPU a call, of our own GET of 1 KiB";
        bench.report.goal(what, Bound::AtMost(1.2), " ×", ratio);
        let what = "mint: CPU a call for 100 links";
        let spread = Spread::of(batch.cpu());
        bench.report.goal(what, Bound::AtMost(150.0), " µs", spread);
    }
    Ok(())
}

fn batch(bench: &Bench, ids: &[String]) -> Request {
    let (_, key) = bench.site.key_header();
    let date = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    Request {
        method: "POST",
        target: "/koodrive/ose/v1/files/download".into(),
        headers: vec![
            ("Authorization", format!("Bearer {key}")),
            ("X-User-Id", "1505084218764547200".into()),
            ("X-Date", date),
            ("Content-Type", "application/json".into()),
        ],
        body: json!({ "containerId": "space_default", "fileIds": ids }).to_string(),
    }
}
