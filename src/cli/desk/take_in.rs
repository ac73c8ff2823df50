//! Taking in what is shared: files where they lie, copies of them, or what comes on standard input.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::cli::failure::Failure;
use crate::cli::path_expansion::FoundFile;
use crate::cli::store::{FileLabels, Intake, Progress};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::upload::{NewFile, StagedFile, Upload};
use crate::model::name::FileName;

/// The bytes of one read of standard input, and how many such pieces wait for the disk.
const INPUT_BYTES: usize = 256 * 1024;
const INPUT_PIECES_MAX: usize = 4;

/// The storage of the files of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Keeping {
    /// They are served where they lie, as they are now.
    InPlace,
    /// They are copied into the data directory, and stay there.
    Stored,
}

/// Returns the description of a file, with an id that is drawn now. `name` is what it is called, if not the last part of its
/// path; `expires_in` the seconds after which it is deleted, if it is.
pub(in crate::cli) fn described(
    gateway: &Gateway,
    path: &Path,
    name: Option<&FileName>,
    expires_in: Option<u64>,
) -> Result<NewFile, Failure> {
    let labels = FileLabels {
        filename: name.cloned(),
        expires_in,
        ..FileLabels::usual()
    };
    Ok(gateway.begin_file(labels.of(path)?))
}

/// Registers a file where it lies: nothing is read of it but what tells its type. The failure names it.
pub(in crate::cli) async fn register(
    intake: &Intake,
    found: &FoundFile,
    new: NewFile,
) -> Result<StagedFile, Failure> {
    let path = &found.path;
    let unreadable = |error| Failure::unreadable(path, &error);
    let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
    // The path of a file that was found below a directory has no link in its last part, nor gets one.
    let absolute = match (found.named, path.parent(), path.file_name()) {
        (false, Some(parent), Some(name)) => {
            let parent = tokio::fs::canonicalize(parent).await;
            parent.map_err(unreadable)?.join(name)
        }
        _ => tokio::fs::canonicalize(path).await.map_err(unreadable)?,
    };
    // What may not be read says so here, in words for a person.
    if metadata.is_file() {
        intake.expect_size(path, metadata.len())?;
        let file = absolute.clone();
        let opened = tokio::task::spawn_blocking(move || open(&file)).await;
        opened
            .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?
            .map_err(unreadable)?;
    }
    let kept = intake.gateway.keep_unread(&absolute, new).await;
    kept.map_err(|refusal| match refusal {
        Refusal::Field(fault) => Failure::Failed(format!("{}: {}", path.display(), fault.why)),
        Refusal::Internal(_) => Failure::Failed(format!(
            "{}: it changed while it was looked at, or cannot be read",
            path.display()
        )),
        refusal => intake.refused(path, &refusal),
    })
}

/// Opens a file for reading, and waits for no pipe that took its place.
fn open(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options.open(path).map(drop)
}

/// Takes in standard input up to its end, at most `size_max` bytes.
pub(in crate::cli) async fn standard_input(
    intake: &Intake,
    size_max: u64,
    progress: &Progress,
) -> Result<Upload, Failure> {
    let name = Path::new("standard input");
    let begun = intake.gateway.begin_upload_up_to(size_max).await;
    let mut upload = begun.map_err(|refusal| intake.refused(name, &refusal))?;
    let mut pieces = pieces();
    loop {
        let piece = tokio::select! {
            biased;
            () = intake.interrupt.first() => {
                return Err(intake.interrupt.failure("stopped while standard input was read"));
            }
            piece = pieces.recv() => piece,
        };
        let Some(piece) = piece else {
            return Ok(upload);
        };
        let piece = piece.map_err(|error| Failure::io("reading standard input", &error))?;
        progress.bar.inc(piece.len() as u64);
        let written = upload.write(piece).await;
        written.map_err(|refusal| intake.refused(name, &refusal))?;
    }
}

/// Reads standard input on a thread of its own, which ends with the process where nobody types: the runtime would wait
/// for one of its own.
fn pieces() -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (tell, pieces) = mpsc::channel(INPUT_PIECES_MAX);
    std::thread::spawn(move || {
        let mut buffer = vec![0; INPUT_BYTES];
        loop {
            let piece = match std::io::stdin().read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => Ok(Bytes::copy_from_slice(
                    buffer.get(..read).unwrap_or_default(),
                )),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_over = piece.is_err();
            if tell.blocking_send(piece).is_err() || is_over {
                return;
            }
        }
    });
    pieces
}
