//! Several gateways on one PostgreSQL: the commands, what a fault of the server or of the network does,
//! how soon one gateway hears what another was told, and three of them behind HAProxy, also under load.

mod asking;
mod commands;
mod commits;
mod encrypted;
mod failover;
mod faults;
mod full;
mod hearing;
mod idempotency;
mod load;
mod nodes;
mod readers;
mod together;

use crate::support::app::TestApp;

const ANYONE: (&str, &str) = ("X-API-Key", "k1");
const ROOT: (&str, &str) = ("X-API-Key", "root");

/// A gateway on this database.
async fn app(url: &str, more: &[(&'static str, &str)]) -> TestApp {
    let settings = [&[("catalog.url", url)], more].concat();
    TestApp::start_with(&settings).await
}
