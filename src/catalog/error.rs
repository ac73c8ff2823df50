//! The errors of a catalogue.

/// The reason why an API key does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEnd {
    /// Its organization has no such key.
    Unknown,
    /// Its time is over.
    Expired,
    /// It is paused.
    Paused,
    /// It was deactivated.
    Deactivated,
}

impl KeyEnd {
    /// Returns the words for it, as the end of a sentence that begins with the key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "is unknown",
            Self::Expired => "has expired",
            Self::Paused => "is paused",
            Self::Deactivated => "has been deactivated",
        }
    }
}

/// The reason why a catalogue did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The thing that was to be changed does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// The kind of thing, in our own words.
        what: &'static str,
    },
    /// The thing that was to be made exists, or the change contradicts what is there.
    #[error("{what} exists already")]
    Conflict {
        /// The kind of thing, in our own words.
        what: &'static str,
    },
    /// The API key for which something was to be written does not work any more.
    #[error("the API key {}", .0.as_str())]
    KeyEnded(KeyEnd),
    /// A named limit was reached.
    #[error("the limit of {limit} {what} is reached")]
    Limit {
        /// The things that are counted.
        what: &'static str,
        /// The most that there may be.
        limit: u64,
    },
    /// The catalogue could not be reached, was too busy, or takes nothing ([`Unwritable`]). Trying again may help.
    #[error("the catalogue is unavailable while {doing}")]
    Unavailable {
        /// The work that was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room for the change.
    #[error("the catalogue has no room left while {doing}")]
    NoSpace {
        /// The work that was being done.
        doing: &'static str,
    },
    /// The catalogue holds something that this binary cannot read: damage, another program's file, or
    /// a newer schema.
    #[error("the catalogue cannot be read: {what}")]
    Corrupt {
        /// The fault, and its place.
        what: String,
    },
}

/// The cause of [`CatalogError::Unavailable`] where nothing can be written: the disk refuses it, as it is broken, mounted
/// read-only or over a quota, or a limit of the process does. What is there may be read all the same.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unwritable(Box<dyn std::error::Error + Send + Sync>);

impl Unwritable {
    /// Says so of the error of a database.
    pub(super) fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl CatalogError {
    /// Returns whether nothing at all can be written now, as there is no room or the disk refuses it.
    pub fn is_of_all_writes(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Unavailable { source, .. } => source.is::<Unwritable>(),
            _ => false,
        }
    }
}

/// `what` is to be changed and is not there.
pub(super) const fn missing(what: &'static str) -> CatalogError {
    CatalogError::NotFound { what }
}

/// `what` is to be made and is there.
pub(super) const fn taken(what: &'static str) -> CatalogError {
    CatalogError::Conflict { what }
}

/// `Limit` where a call is given more of `what` than it may be.
pub(super) const fn expect_at_most(
    max: usize,
    what: &'static str,
    given: usize,
) -> Result<(), CatalogError> {
    let limit = max as u64;
    if given <= max {
        Ok(())
    } else {
        Err(CatalogError::Limit { what, limit })
    }
}
