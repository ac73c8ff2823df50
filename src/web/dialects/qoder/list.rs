//! Lists of the third generation: filters, and pages that name the next one.

use std::sync::Arc;

use crate::gateway::Gateway;
use crate::gateway::files::{Cursor, CursorPage, Filters};
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::model::id::OrganizationId;
use crate::web::query::{pairs, whole_number};

/// The number of files on a page unless the caller says.
const LIMIT_DEFAULT: u32 = 20;
/// The most files on a page.
const LIMIT_MAX: u32 = 1_000;
/// The most ids that one list may name.
const IDS_MAX: usize = 100;
/// The beginning of the text that names the next page.
pub(super) const PAGE_PREFIX: &str = "page_";

/// The only parameter that may stand several times.
const IDS: &str = "ids[]";
/// The words of `status`. No file is ever seen in the states of the first two.
const STATUSES: [&str; 4] = ["uploading", "error", "ready", "deleted"];

/// The page of a list that a caller wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WantedPage {
    filters: Filters,
    /// True if a filter is there that no file passes.
    is_empty: bool,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// Reads the query of a list. A parameter that is not served is a fault: whoever deletes what a list shows must
/// not be shown what the parameter would have left out.
pub(super) fn wanted(query: &str) -> Result<WantedPage, FieldFault> {
    let mut wanted = WantedPage::default();
    let mut seen = Vec::new();
    for (name, value) in pairs(query)? {
        if name != IDS {
            if seen.contains(&name) {
                return Err(FieldFault::new(name, value, "must not be given twice"));
            }
            seen.push(name.clone());
        }
        wanted.take(&name, value)?;
    }
    Ok(wanted)
}

/// The page that is wanted.
pub(super) async fn page(
    gateway: &Arc<Gateway>,
    organization: &OrganizationId,
    wanted: &WantedPage,
) -> Result<CursorPage, Refusal> {
    if wanted.is_empty {
        return Ok(CursorPage::default());
    }
    let limit = wanted.limit.unwrap_or(LIMIT_DEFAULT);
    gateway
        .filtered_page(organization, &wanted.filters, wanted.cursor.as_ref(), limit)
        .await
}

impl WantedPage {
    /// Returns whether the page is one of newer files, so that what follows it is the page of the cursor.
    pub(super) const fn is_backward(&self) -> bool {
        matches!(self.cursor, Some(Cursor::Before(_)))
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), FieldFault> {
        match name {
            "limit" => self.limit = Some(limit(&value)?),
            "name" => self.filters.name = Some(value),
            "status" => match value.as_str() {
                "ready" => {}
                "deleted" => self.filters.is_deleted = true,
                "uploading" | "error" => self.is_empty = true,
                _ => {
                    let why = format!("must be one of: {}", STATUSES.join(", "));
                    return Err(FieldFault::new(name, value, why));
                }
            },
            // No file has a scope.
            "scope_id" => self.is_empty = true,
            IDS => {
                let ids = self.filters.ids.get_or_insert_default();
                if ids.len() == IDS_MAX {
                    let why = format!("must be {IDS_MAX} at most");
                    return Err(FieldFault::missing(name, why));
                }
                ids.push(value);
            }
            "after_id" => self.begin(name, Cursor::After(value))?,
            "before_id" => self.begin(name, Cursor::Before(value))?,
            "page" => match value.strip_prefix(PAGE_PREFIX) {
                Some(last) if !last.is_empty() => {
                    self.begin(name, Cursor::After(last.to_owned()))?;
                }
                _ => {
                    let why = "must be the next_page of an earlier answer";
                    return Err(FieldFault::new(name, value, why));
                }
            },
            _ => return Err(FieldFault::new(name, value, "is not served here")),
        }
        Ok(())
    }

    fn begin(&mut self, name: &str, cursor: Cursor) -> Result<(), FieldFault> {
        if self.cursor.replace(cursor).is_some() {
            let why = "must be the only one of page, after_id and before_id";
            return Err(FieldFault::missing(name, why));
        }
        Ok(())
    }
}

fn limit(text: &str) -> Result<u32, FieldFault> {
    let number = whole_number(text).filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| FieldFault::new("limit", text, format!("must be 1 to {LIMIT_MAX}")))
}
