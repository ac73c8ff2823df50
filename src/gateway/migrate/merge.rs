//! Two catalogues read side by side.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{End, MigrateError};
use crate::catalog::Catalog;
use crate::catalog::transfer::{Kind, Row};

/// The number of rows that are read in one go.
const PAGE: u32 = 500;

/// One step of the merge: a key, with its row on either side.
#[derive(Debug)]
pub(super) enum Step {
    /// The source has this row, and the copy perhaps another one of its key.
    Has(Row, Option<Row>),
    /// Only the copy has it.
    Lacks(Row),
}

/// The rows of one kind in both.
pub(super) struct Merge {
    ours: Side,
    theirs: Option<Side>,
}

struct Side {
    catalog: Arc<dyn Catalog>,
    end: End,
    kind: Kind,
    page: VecDeque<Row>,
    last: Option<Row>,
    is_over: bool,
}

impl Merge {
    pub(super) fn of(kind: Kind, from: &Arc<dyn Catalog>, to: Option<&Arc<dyn Catalog>>) -> Self {
        let side = |catalog: &Arc<dyn Catalog>, end| Side {
            catalog: Arc::clone(catalog),
            end,
            kind,
            page: VecDeque::new(),
            last: None,
            is_over: false,
        };
        Self {
            ours: side(from, End::Source),
            theirs: to.map(|to| side(to, End::Destination)),
        }
    }

    /// The next key; `None` after the last one. What is put or removed at a key before it is never read.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, MigrateError> {
        self.ours.fill().await?;
        let Some(theirs) = &mut self.theirs else {
            return Ok(self.ours.page.pop_front().map(|row| Step::Has(row, None)));
        };
        theirs.fill().await?;
        let order = match (self.ours.page.front(), theirs.page.front()) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(ours), Some(theirs)) => ours.key().cmp(&theirs.key()),
        };
        let ours = (order != Ordering::Greater).then(|| self.ours.page.pop_front());
        let theirs = (order != Ordering::Less).then(|| theirs.page.pop_front());
        Ok(match (ours.flatten(), theirs.flatten()) {
            (Some(ours), theirs) => Some(Step::Has(ours, theirs)),
            (None, theirs) => theirs.map(Step::Lacks),
        })
    }
}

impl Side {
    /// Reads the next page where the last one is used up. After one that was not full there is none: what
    /// came behind it meanwhile may be our own.
    async fn fill(&mut self) -> Result<(), MigrateError> {
        if self.is_over || !self.page.is_empty() {
            return Ok(());
        }
        let page = self.catalog.rows(self.kind, self.last.as_ref(), PAGE);
        let page = page.await.map_err(self.end.catalog())?;
        self.is_over = page.len() < PAGE as usize;
        self.last = page.last().cloned();
        self.page = page.into();
        Ok(())
    }
}
