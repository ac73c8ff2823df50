//! Settings that are one word of a few.

use tracing::Level;

/// The sites that may embed the bytes (Fetch standard, "Cross-Origin-Resource-Policy header").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourcePolicy {
    /// Every site.
    CrossOrigin,
    /// Sites of the gateway's own registrable domain.
    SameSite,
    /// The gateway's own origin.
    SameOrigin,
}

impl ResourcePolicy {
    pub(super) const WORDS: [(&str, Self); 3] = [
        ("cross-origin", Self::CrossOrigin),
        ("same-site", Self::SameSite),
        ("same-origin", Self::SameOrigin),
    ];

    /// The header's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrossOrigin => "cross-origin",
            Self::SameSite => "same-site",
            Self::SameOrigin => "same-origin",
        }
    }
}

/// The connections that speak HTTP/2 besides HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// Nowhere.
    Off,
    /// On TLS listeners, with clients that choose it in the handshake.
    Tls,
    /// Plain listeners, too, with clients that begin with its preface.
    On,
}

impl Http2 {
    pub(super) const WORDS: [(&str, Self); 3] =
        [("off", Self::Off), ("tls", Self::Tls), ("on", Self::On)];
}

/// The format of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    pub(super) const WORDS: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// The levels of the log, from the most severe lines on.
pub(super) const LOG_LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];
