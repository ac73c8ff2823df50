//! The parts of a form, while they come in.

use bytes::Bytes;
use hyper::HeaderMap;

use super::{OVERHEAD_BYTES_MAX, TEXT_BYTES_MAX};
use crate::gateway::refusal::FieldFault;
use crate::web::multipart::{HEAD_BYTES_MAX, Head, Piece, Splitter, Unreadable};
use crate::web::problem::Problem;
use crate::web::request_body::{RequestBody, less};

/// The parts of the form, while they come in.
pub(super) struct Parts<'a> {
    pub(super) body: &'a mut RequestBody,
    pub(super) splitter: Splitter,
    /// The number of parts that have begun, for the log.
    pub(super) begun: usize,
    /// The bytes that may still come in.
    pub(super) left: u64,
    pub(super) body_max: u64,
}

impl Parts<'_> {
    /// Reads past what stands before the first boundary.
    pub(super) async fn skip_preamble(&mut self) -> Result<(), Problem> {
        let mut left = HEAD_BYTES_MAX;
        while let Some(chunk) = self.chunk().await? {
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| Problem::bad_body("no boundary near its beginning"))?;
        }
        Ok(())
    }

    /// The head of the next part, once the bytes of the last one are read; `None` if there is no more.
    pub(super) async fn head(&mut self) -> Result<Option<HeaderMap>, Problem> {
        let bad = |error: Unreadable| Problem::bad_body(error.to_string());
        loop {
            match self.splitter.head().map_err(bad)? {
                Head::Part(head) => {
                    self.begun += 1;
                    return Ok(Some(head));
                }
                Head::End => return Ok(None),
                Head::Incomplete => self.pull().await?,
            }
        }
    }

    /// The next bytes of the part; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            match self.splitter.piece() {
                Piece::Bytes(bytes) => return Ok(Some(bytes)),
                Piece::End => return Ok(None),
                Piece::Incomplete => self.pull().await?,
            }
        }
    }

    /// The part's bytes as the text of the field `name`.
    pub(super) async fn text(&mut self, name: &str) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > TEXT_BYTES_MAX {
                let why = format!("must be at most {TEXT_BYTES_MAX} bytes");
                return Err(FieldFault::missing(name, why).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes)
            .map_err(|_| FieldFault::missing(name, "must be text in UTF-8").into())
    }

    /// Reads past the part's bytes.
    pub(super) async fn skip(&mut self) -> Result<(), Problem> {
        let limit = OVERHEAD_BYTES_MAX;
        let mut left = limit;
        while let Some(chunk) = self.chunk().await? {
            left = less(left, &chunk, limit)?;
        }
        Ok(())
    }

    /// Waits for more of the body.
    async fn pull(&mut self) -> Result<(), Problem> {
        let Some(chunk) = self.body.chunk().await? else {
            let place = match self.begun {
                0 => "it ended before its first part".to_owned(),
                number => format!("it ended in or behind part {number}"),
            };
            return Err(Problem::unreadable_body("the form has no end", place));
        };
        self.left = less(self.left, &chunk, self.body_max)?;
        self.splitter.push(chunk);
        Ok(())
    }
}

/// Reads what follows the form's last line. It means nothing (RFC 2046, §5.1.1), but a body that breaks
/// off even there was not sent whole, and is not answered with a yes.
pub(super) async fn read_to_end(body: &mut RequestBody) -> Result<(), Problem> {
    let limit = OVERHEAD_BYTES_MAX;
    let mut left = limit;
    while let Some(chunk) = body.chunk().await? {
        left = less(left, &chunk, limit)?;
    }
    Ok(())
}
