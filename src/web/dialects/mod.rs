//! The three API dialects, each a folder of the same files: its calls, its handlers, its envelope of problems, its
//! JSON. A call that cannot be answered, or that does not even exist, is told so in the envelope of the dialect
//! whose paths it is among.

pub mod aitronos;
pub mod koodrive;
pub mod qoder;

/// An API dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiDialect {
    /// The dialect of every path that is no other's, the byte route's included.
    Aitronos,
    /// `/v1/files`, and all below it and below `/api/v1/cloud`.
    Qoder,
    /// All below `/koodrive`.
    KooDrive,
}

impl ApiDialect {
    /// Returns the dialect of a path, whether or not there is a call.
    pub fn of_path(path: &str) -> Self {
        let below = |start: &str| {
            let rest = path.strip_prefix(start);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        if path == "/v1/files" || below("/v1/files") || below("/api/v1/cloud") {
            Self::Qoder
        } else if below("/koodrive") {
            Self::KooDrive
        } else {
            Self::Aitronos
        }
    }
}

/// The words for a revocation that holds and is not written.
const REVOCATION_HELD: &str =
    "The revocation holds on this gateway, but could not be written yet: the disk is full.";

/// The words for a revocation that neither holds nor is written.
const REVOCATION_LOST: &str = "The revocation could not be written: the disk is full.";

/// The most characters of a caller's own text that an answer repeats.
const REPEATED_CHARS_MAX: usize = 128;

/// Returns the beginning of a caller's own text that an answer repeats.
fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(REPEATED_CHARS_MAX);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_dialect() {
        for path in [
            "/v1/files",
            "/v1/files/",
            "/v1/files/x/content",
            "/v1/files//x",
            "/api/v1/cloud/",
            "/api/v1/cloud/files",
            "/api/v1/cloud/sessions/x",
        ] {
            assert_eq!(ApiDialect::of_path(path), ApiDialect::Qoder, "{path}");
        }
        for path in ["/koodrive/", "/koodrive/ose/v1/files/download"] {
            assert_eq!(ApiDialect::of_path(path), ApiDialect::KooDrive, "{path}");
        }
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/filesystem",
            "/v1/organizations/o/files",
            "/V1/files",
            "//v1/files",
            "/api/v1/cloud",
            "/api/v1/cloudy/files",
            "/koodrive",
            "/KooDrive/ose",
            "/koodrives/x",
        ] {
            assert_eq!(ApiDialect::of_path(path), ApiDialect::Aitronos, "{path}");
        }
    }
}
