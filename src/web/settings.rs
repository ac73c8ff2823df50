//! The settings of the public side: what a deployment may want otherwise, checked.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;

use super::branding::Branding;
use super::client::TrustedProxies;
use super::cors::Origins;
use super::dialects::qoder::generation::{ContentStatus, GenerationServed};
use super::download_watcher::DownloadWatcher;
use super::offload::{CountedHandover, Offload};
use super::original_link::VerifyHeader;
use super::response_memory::ResponseMemory;
use super::strict_transport::StrictTransport;

/// The settings of the public side.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// `cors.origins`.
    pub origins: Origins,
    /// `cors.credentials`: whether those scripts may send credentials along. `origins` are named then.
    pub allows_credentials: bool,
    /// `cors.resource_policy`: who may embed the bytes (`Cross-Origin-Resource-Policy`).
    pub resource_policy: HeaderValue,
    /// `server.admin_hosts`: names by which the private listener's numbers may be asked for, besides addresses.
    pub admin_hosts: Arc<[String]>,
    /// `server.hsts`: `Strict-Transport-Security` of answers over TLS.
    pub strict_transport: Option<StrictTransport>,
    /// `links.recheck_interval`: how often the links of downloads that are under way are held against what was revoked.
    pub recheck_interval: Duration,
    /// `uploads.duration_max`: how long an upload may take to come in.
    pub upload_time_max: Duration,
    /// `links.cap_cache_to_expiry`: no browser keeps the bytes longer than the link lives.
    pub cap_cache_to_expiry: bool,
    /// `server.trusted_proxies`: whose word on a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// `verify.header`: where a proxy says the URL that `/verify` answers for; without it, no such call is.
    pub verify_header: Option<VerifyHeader>,
    /// The proxy offload that bytes are handed over by; without it they are streamed.
    pub offload: Option<Offload>,
    /// True if clients are sent on to the store that keeps the bytes, where it is one that serves them.
    pub redirects: bool,
    /// `handover.counted`: when a counted download is spent.
    pub counted: CountedHandover,
    /// `koodrive.date_skew_secs`: by how much the clocks of that API's clients may be off.
    pub koodrive_date_skew: u64,
    /// `qoder.content_status`.
    pub qoder_content_status: ContentStatus,
    /// `qoder.generation`.
    pub qoder_generation: GenerationServed,
    /// `pages`: what the operator puts on every page.
    pub branding: Arc<Branding>,
    /// `server.response_memory_max`: the memory budget of responses.
    pub memory: Arc<ResponseMemory>,
    /// Is told of downloads.
    pub watcher: Option<Arc<dyn DownloadWatcher>>,
}
