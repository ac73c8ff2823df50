//! The failures of the catalogue as operators see them, and the one way from such an error to a refusal: counted
//! where it is handled.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Gateway;
use super::refusal::Refusal;
use crate::catalog::CatalogError;

/// The words of the metric, each for the counter at its place.
const KINDS: [&str; 3] = ["unavailable", "no_space", "corrupt"];

/// The counters of the catalogue's failures in one gateway: unavailable, out of space, unreadable.
#[derive(Debug, Default)]
pub(super) struct CatalogueFailures([AtomicU64; KINDS.len()]);

impl CatalogueFailures {
    /// Returns the refusal of an error, which is counted if it is the catalogue's own and no plain no.
    pub(super) fn refusal(&self, error: CatalogError) -> Refusal {
        let place = match error {
            CatalogError::Unavailable { .. } => Some(0),
            CatalogError::NoSpace { .. } => Some(1),
            CatalogError::Corrupt { .. } => Some(2),
            CatalogError::NotFound { .. }
            | CatalogError::KeyEnded(_)
            | CatalogError::Conflict { .. }
            | CatalogError::Limit { .. } => None,
        };
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.fetch_add(1, Relaxed);
        }
        Refusal::of_catalogue(error)
    }
}

impl Gateway {
    /// Awaits a call of the catalogue.
    ///
    /// # Errors
    /// The call's own, as [`Gateway::refusal`] turns it into a refusal.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, Refusal> {
        call.await.map_err(|error| self.refusal(error))
    }

    /// Returns the refusal of an error of the catalogue, and counts it.
    pub(super) fn refusal(&self, error: CatalogError) -> Refusal {
        self.catalogue_failures.refusal(error)
    }

    /// Returns how often the catalogue failed this gateway, and how.
    pub fn catalogue_failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = self.catalogue_failures.0.iter();
        KINDS
            .into_iter()
            .zip(counters.map(|counter| counter.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_catalogue_itself_are_counted() {
        let failures = CatalogueFailures::default();
        let counted = || failures.0.each_ref().map(|counter| counter.load(Relaxed));
        let source = || std::io::Error::other("x").into();
        for (error, expected) in [
            (CatalogError::NotFound { what: "x" }, [0, 0, 0]),
            (
                CatalogError::Unavailable {
                    doing: "x",
                    source: source(),
                },
                [1, 0, 0],
            ),
            (CatalogError::Conflict { what: "x" }, [1, 0, 0]),
        ] {
            failures.refusal(error);
            assert_eq!(counted(), expected);
        }
    }
}
