//! Uploads at once, of one API key and of one organization.
//!
//! They have tables of their own: those of downloads are there only where downloads are limited, and an upload is not
//! one of them.

use std::sync::Arc;

use super::table::{Entry, LimitTable};
use super::{PLACE_WAIT, RateLimits, Rule, entry};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{API_KEY_UPLOADS, ORGANIZATION_UPLOADS, Refusal};
use crate::model::id::{ApiKeyId, OrganizationId};

/// Everybody who uploads, where that is limited.
pub(super) struct Uploads {
    keys: Option<LimitTable<ApiKeyId>>,
    organizations: Option<LimitTable<OrganizationId>>,
}

/// An upload that was let in. Dropping it lets the next one in.
#[must_use = "the upload counts until this is dropped"]
#[derive(Debug)]
pub struct UploadPermit {
    _places: [Option<Place>; 2],
}

/// A place of an upload in an entry, until this is dropped.
#[derive(Debug)]
struct Place(Arc<Entry>);

impl Uploads {
    pub(super) fn new(settings: &RateLimits) -> Self {
        Self {
            keys: LimitTable::new(&at_once(settings.api_key_uploads)),
            organizations: LimitTable::new(&at_once(settings.organization_uploads)),
        }
    }

    pub(super) fn admit(&self, caller: &Principal, now: u64) -> Result<UploadPermit, Refusal> {
        let (key, organization) = (&caller.key, &caller.organization);
        let of_key = entry(self.keys.as_ref(), key, now, || key.clone());
        let of_organization = entry(self.organizations.as_ref(), organization, now, || {
            organization.clone()
        });
        let of_key = place(of_key, API_KEY_UPLOADS)?;
        let of_organization = place(of_organization, ORGANIZATION_UPLOADS)?;
        Ok(UploadPermit {
            _places: [of_key, of_organization],
        })
    }
}

const fn at_once(at_once: u64) -> Rule {
    Rule {
        requests_per_minute: 0,
        at_once,
        bytes_per_second: 0,
    }
}

/// Takes a place in this entry, if there is one. Nobody knows when another upload ends, so the wait is a guess.
fn place(entry: Option<Arc<Entry>>, what: &'static str) -> Result<Option<Place>, Refusal> {
    let Some(entry) = entry else {
        return Ok(None);
    };
    if !entry.begin() {
        let wait = PLACE_WAIT;
        return Err(Refusal::TooMany { what, wait });
    }
    Ok(Some(Place(entry)))
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.end();
    }
}
