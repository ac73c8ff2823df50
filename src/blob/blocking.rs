//! Work that waits on a disk, on threads that may wait.

use super::BlobError;

/// Runs `work` on the blocking pool. Once it has begun it runs to its end, also if the answer is
/// dropped. `doing` names it in the error of a `work` that panicked or that came too late, when the
/// runtime was shutting down.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(never_ended) => Err(BlobError::Io {
            doing,
            source: std::io::Error::other(never_ended),
        }),
    }
}
