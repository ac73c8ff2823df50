//! Standard input of the commands that take `-` for a text or a link: neither a shell's history nor the list of
//! processes shows what comes that way.

use std::io::Read as _;

use super::failure::Failure;

/// The most bytes of one link with what mail or chat made of it. The longest request target has 8 KiB.
const LINK_BYTES_MAX: u64 = 32 * 1024;

/// The most bytes of all links of one command: some 20,000.
const LINKS_BYTES_MAX: u64 = 4 << 20;

/// The word for standard input.
pub(super) const DASH: &str = "-";

/// Returns everything up to the end, without the line break there.
///
/// # Errors
/// [`Failure::Usage`] if there are more than `bytes_max` bytes, [`Failure::Failed`] if they cannot be read.
pub(super) fn bytes(bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let mut read = Vec::new();
    std::io::stdin()
        .take(bytes_max + 1)
        .read_to_end(&mut read)
        .map_err(|error| Failure::io("reading standard input", &error))?;
    if read.len() as u64 > bytes_max {
        let why = format!("the text is longer than {bytes_max} bytes");
        return Err(Failure::Usage(why));
    }
    for end in [b'\n', b'\r'] {
        read.pop_if(|last| *last == end);
    }
    Ok(read)
}

/// Returns `word`, or for `-` the link on standard input, with the line breaks that a mail put into it.
///
/// # Errors
/// [`Failure::Usage`] if there is no text or too much of it, [`Failure::Failed`] if it cannot be read.
pub(super) fn link(word: String) -> Result<String, Failure> {
    if word == DASH {
        text(LINK_BYTES_MAX)
    } else {
        Ok(word)
    }
}

/// Returns `words`, or for a single `-` the links on standard input, one a line. Empty lines count for nothing.
///
/// # Errors
/// [`Failure::Usage`] if `-` is not alone, or there is no link or too much text; [`Failure::Failed`] if standard
/// input cannot be read.
pub(super) fn links(words: Vec<String>) -> Result<Vec<String>, Failure> {
    if !words.iter().any(|word| word == DASH) {
        return Ok(words);
    }
    if words.len() > 1 {
        let why = "`-` reads the links from standard input, and takes no others beside it";
        return Err(Failure::Usage(why.into()));
    }
    let text = text(LINKS_BYTES_MAX)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

fn text(bytes_max: u64) -> Result<String, Failure> {
    let text = String::from_utf8(bytes(bytes_max)?)
        .map_err(|_| Failure::Usage("standard input has no link: it is no UTF-8".into()))?;
    if text.trim().is_empty() {
        return Err(Failure::Usage("standard input has no link".into()));
    }
    Ok(text)
}
