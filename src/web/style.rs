//! The API styles, as far as they share paths: which one an answer belongs to, also where no call does.

use hyper::Response;

use super::body::Body;
use super::problem::Problem;
use super::trace::Trace;
use super::{aitronos, koodrive};
use crate::model::time::UnixSeconds;

/// An API style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Aitronos, and everything that is nobody else's.
    Aitronos,
    /// KooDrive.
    KooDrive,
}

impl Style {
    /// The style that a path belongs to, whether a call has it or not. The path comes without what
    /// `public_base_url` puts in front of it.
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("/koodrive/") {
            Self::KooDrive
        } else {
            Self::Aitronos
        }
    }

    /// The answer to a problem, in the style's envelope.
    pub fn refuse(self, problem: &Problem, trace: &Trace, now: UnixSeconds) -> Response<Body> {
        match self {
            Self::Aitronos => aitronos::refusal::answer(problem, trace, now),
            Self::KooDrive => koodrive::refusal::answer(problem, trace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_one_style_each() {
        let cases = [
            ("/koodrive/ose/v1/files/download", Style::KooDrive),
            ("/koodrive/", Style::KooDrive),
            ("/koodrive", Style::Aitronos),
            ("/KooDrive/ose", Style::Aitronos),
            ("/koodrives/x", Style::Aitronos),
            ("/v1/organizations/o/files", Style::Aitronos),
            ("/", Style::Aitronos),
            ("", Style::Aitronos),
        ];
        for (path, style) in cases {
            assert_eq!(Style::of_path(path), style, "{path}");
        }
    }
}
