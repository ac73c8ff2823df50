//! The settings of the public side, from the configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;

use super::StartError;
use crate::config::{Config, Pages};
use crate::web::WebSettings;
use crate::web::branding::{Branding, LOGO_BYTES_MAX, Logo, PageLink};
use crate::web::offload::{Offload, OffloadMode};
use crate::web::response_memory::ResponseMemory;

/// Returns the settings of the public side.
///
/// # Errors
/// A logo that cannot be read or is none, and a data directory that cannot be found.
pub(super) fn of(config: &Config) -> Result<WebSettings, StartError> {
    let server = &config.server;
    Ok(WebSettings {
        origins: config.cors.origins.clone(),
        allows_credentials: config.cors.credentials,
        admin_hosts: server.admin_hosts.clone().into(),
        strict_transport: server.hsts.clone(),
        resource_policy: HeaderValue::from_static(config.cors.resource_policy.as_str()),
        recheck_interval: Duration::from_secs(config.links.recheck_interval),
        upload_time_max: Duration::from_secs(config.uploads.duration_max),
        cap_cache_to_expiry: config.links.cap_cache_to_expiry,
        trusted_proxies: server.trusted_proxies.clone(),
        offload: offload(config)?,
        verify_header: config.verify.header.clone(),
        redirects: config.handover.mode == OffloadMode::Redirect,
        counted: config.handover.counted,
        koodrive_date_skew: config.koodrive.date_skew_secs,
        qoder_content_status: config.qoder.content_status,
        qoder_generation: config.qoder.generation,
        branding: Arc::new(branding(&config.pages)?),
        memory: Arc::new(ResponseMemory::new(server.response_memory_max)),
        watcher: None,
    })
}

fn offload(config: &Config) -> Result<Option<Offload>, StartError> {
    let data_dir = std::path::absolute(&config.server.data_dir)
        .map_err(|error| StartError::failed("finding the data directory", error))?;
    let of = &config.handover;
    Ok(Offload::new(of.mode, of.prefix.as_deref(), &data_dir))
}

fn branding(pages: &Pages) -> Result<Branding, StartError> {
    let link = pages.link_text.clone().zip(pages.link_url.clone());
    Ok(Branding {
        title: pages.title.clone(),
        logo: pages.logo.as_deref().map(logo).transpose()?,
        link: link.map(|(text, url)| PageLink { text, url }),
    })
}

/// Reads the logo. More than a logo may have is not read.
fn logo(path: &Path) -> Result<Logo, StartError> {
    let place = format!("pages.logo: {}", path.display());
    let mut bytes = Vec::new();
    let most = u64::try_from(LOGO_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| StartError::setup(&place, error))?;
    Logo::new(&bytes).map_err(|why| StartError::Setup(format!("{place} {why}")))
}
