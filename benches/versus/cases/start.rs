//! How soon a gateway answers after it was started, with a million files in its catalogue.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use hallpass::config::{Config, Flag};
use hallpass::gateway::clock::{Clock, SystemClock};
use hallpass::model::id::OrganizationId;
use hallpass::server::installation::Installation;
use hallpass::server::setup::SetupPolicy;

use super::KIB;
use crate::Bench;
use crate::client::Request;
use crate::million;
use crate::process::{Core, Outcome};
use crate::report::{Bound, Spread};
use crate::servers::{Expected, check};
use crate::site::Site;
use crate::sites::HALLPASS;

const CASE: &str = "start";

/// From the start of the process to the first byte of an answer.
pub(super) fn run(bench: &mut Bench) -> Outcome<()> {
    let files: u64 = if bench.is_quick { 20_000 } else { 1_000_000 };
    let mut site = Site::new(&bench.binary, &bench.disk.join("million"))?;
    site.add("get-1k", KIB)?;
    let file = site.file("get-1k")?.clone();
    let data_dir = site.data_dir().display().to_string();
    tokio::runtime::Runtime::new()?.block_on(fill(data_dir, files))?;
    let link = {
        let (_running, at) = site.serve(Core::Server)?;
        let link = Request::get(site.mint(at, "get-1k")?);
        check(HALLPASS, at, &link, Expected::Whole(&file), None)?;
        link
    };
    let mut times = Vec::new();
    for round in 1..=bench.rounds {
        let started = Instant::now();
        let (_running, at) = site.serve(Core::Server)?;
        link.expect_first_byte(at)?;
        let millis = started.elapsed().as_secs_f64() * 1e3;
        bench
            .report
            .figure(CASE, round, "start to first byte", millis, "ms")?;
        times.push(millis);
    }
    let spread = Spread::of(times);
    bench.report.say(&format!(
        "\n### start\n\n{files} files in the catalogue, page cache warm: {:.1} ms ({:.1} to {:.1}) from the start of the process to the first byte\n",
        spread.median, spread.min, spread.max
    ));
    let what = format!("start: to the first byte, {files} files in the catalogue");
    bench
        .report
        .goal(&what, Bound::AtMost(100.0), " ms", spread);
    Ok(())
}

async fn fill(data_dir: String, files: u64) -> Outcome<()> {
    let flags = [Flag {
        key: "server.data_dir",
        value: data_dir,
        name: "the bench",
    }];
    let config = Config::load(None, &HashMap::<OsString, OsString>::new(), &flags)
        .map_err(|problems| format!("{problems:?}"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let installation = Installation::open(&config, SetupPolicy::SetUp, clock).await?;
    let organization = OrganizationId::default_organization();
    million::fill(installation.catalog.as_ref(), &organization, files).await;
    Ok(())
}
