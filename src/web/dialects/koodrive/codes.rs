//! KooDrive's codes: those of whole calls, and those of single files.

use crate::gateway::batch::BatchOutcome;

/// A code and its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u32, pub(super) &'static str);

// The vendor's page "Error codes", in its own words.
pub(super) const BAD_REQUEST: Code = Code(13_000_101, "Bad Request");
pub(super) const VERIFY_FAILED: Code = Code(13_000_102, "Verify parameters failed.");
pub(super) const INTERNAL: Code = Code(13_000_201, "INNER_INVOKE_FAILURE");
pub(super) const SPACE_NOT_FOUND: Code = Code(13_000_301, "Space not found.");
const NOT_IN_SPACE: Code = Code(13_000_302, "File is not in the specified space.");
const IN_RECYCLE_BIN: Code = Code(13_000_306, "File is in the recycle bin.");
pub(super) const NOT_FOUND: Code = Code(13_000_309, "Resource not found.");
// That page has these in Chinese only.
const DOWNLOAD_FAILED: Code = Code(13_000_408, "File download failed.");
pub(super) const NO_PERMISSION: Code = Code(
    13_000_410,
    "The current user has no permission on this space.",
);

/// The code of a single file that succeeded.
const SUCCESS: Code = Code(0, "success");

/// Returns the code that says what became of a single file.
pub(super) const fn of_outcome(outcome: &BatchOutcome) -> Code {
    match outcome {
        BatchOutcome::Minted(_) => SUCCESS,
        BatchOutcome::Exhausted(_) => DOWNLOAD_FAILED,
        BatchOutcome::Deleted(_) => IN_RECYCLE_BIN,
        BatchOutcome::Elsewhere => NOT_IN_SPACE,
        BatchOutcome::Unknown => NOT_FOUND,
    }
}
