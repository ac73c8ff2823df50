//! The generation of the vendor's API that a request speaks. Generations differ in the names of fields, in statuses
//! and in the filters of lists (the vendor's pages "Files" under `/cli/cloud-agents/` for the first, "Files API" of
//! July 2026 for the third). Its own clients name themselves in every request.

use hyper::HeaderMap;

/// Headers that the clients of the third generation send, and nobody else.
const HEADERS: [&str; 2] = ["x-qoder-package-version", "x-qoder-lang"];

/// The status of the answer that gives a client of the first generation its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentStatus {
    /// 302 with a `Location`: a client that follows redirects has the bytes at once.
    #[default]
    Redirect,
    /// 200: for clients that follow redirects and then expect JSON.
    Plain,
}

/// A generation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// `file_id`, a page's `last_id`, a redirect to the bytes.
    First,
    /// `id`, a page's `next_page`, a URL of the bytes.
    Third,
}

/// The generation that the gateway serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GenerationServed {
    /// The third to requests of its clients, the first to all others.
    #[default]
    OfTheClient,
    /// One to all.
    Only(Generation),
}

impl GenerationServed {
    /// The generation that a request with these headers is answered in.
    pub(in crate::web) fn of(self, headers: &HeaderMap) -> Generation {
        match self {
            Self::Only(generation) => generation,
            Self::OfTheClient if HEADERS.iter().any(|name| headers.contains_key(*name)) => {
                Generation::Third
            }
            Self::OfTheClient => Generation::First,
        }
    }
}
