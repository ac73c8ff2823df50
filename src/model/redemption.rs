//! Counted downloads: their ids and states, and the counters by which a link is spent.

use std::fmt;
use std::sync::Arc;

use super::digest::Sha256Digest;
use super::id::{ShareId, check};

/// The time without bytes after which an open download may lapse, in seconds.
pub const LAPSE_SECONDS: u64 = 900;

/// The time that a ticket lives on once its download is done, in seconds.
pub const DONE_SECONDS: u64 = 600;

/// The characters of a redemption's id.
pub const REDEMPTION_ID_CHARS: usize = 22;

/// Names one started download, and the ticket for it: 22 of `[A-Za-z0-9]`, drawn at random, never twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedemptionId([u8; REDEMPTION_ID_CHARS]);

impl RedemptionId {
    /// Takes 22 letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; REDEMPTION_ID_CHARS] = text.as_bytes().try_into().ok()?;
        let good = bytes.iter().all(u8::is_ascii_alphanumeric);
        good.then_some(Self(bytes))
    }

    /// The 22 characters.
    #[expect(clippy::expect_used, reason = "`parse` takes ASCII only")]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("22 characters of ASCII")
    }
}

impl fmt::Display for RedemptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RedemptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The thing whose downloads are counted: a counted link, or a share. It opens nothing, and may be logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Returns the subject of a counted link: `l` and the SHA-256 of its MAC in hex.
    pub fn of_link(mac_digest: Sha256Digest) -> Self {
        Self(format!("l{}", mac_digest.to_hex()).into())
    }

    /// Returns the subject of a share: `s` and its id.
    pub fn of_share(share: &ShareId) -> Self {
        Self(format!("s{share}").into())
    }

    /// Reads `l` and 64 lower-case hex digits, or `s` and the id of a share. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |rest: &str| super::digest::unhex::<32>(rest).is_some();
        let is_good = match text.split_at_checked(1)? {
            ("l", rest) => is_hex(rest),
            ("s", rest) => check(rest).is_ok(),
            _ => false,
        };
        is_good.then(|| Self(text.into()))
    }

    /// Returns whether it is a counted link.
    pub fn is_link(&self) -> bool {
        self.0.starts_with('l')
    }

    /// Returns the share that it is, if it is one.
    pub fn share(&self) -> Option<ShareId> {
        self.0.strip_prefix('s').map(ShareId::of_checked)
    }

    /// The subject's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a started download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedemptionState {
    /// It holds one of its subject's downloads.
    Open,
    /// At least as many bytes were sent as the file has: it has spent one.
    Done,
    /// It sent nothing for [`LAPSE_SECONDS`], and holds none.
    Lapsed,
}

impl RedemptionState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Lapsed => "lapsed",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Open, Self::Done, Self::Lapsed];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

/// The counters of one subject's downloads.
///
/// A lapsed download gives back what it held. But the bytes of all lapsed ones are added up, and each time that the
/// sum reaches the size of the file, one download is spent for good and the size taken off: so lapsed downloads never
/// hand out more than one file beside the downloads that are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadCounts {
    /// Downloads that are spent.
    pub done: u64,
    /// Downloads that are held by open ones.
    pub open: u64,
    /// Bytes of lapsed downloads that have spent none yet. Negative where some that had are open again.
    pub lapsed_bytes: i64,
}

impl DownloadCounts {
    /// Returns how many more may be started.
    pub const fn left(&self, allowed: u64) -> u64 {
        allowed.saturating_sub(self.done.saturating_add(self.open))
    }

    /// Counts a download of so many bytes that is started, and returns its state: one of no bytes is done at once.
    #[must_use]
    pub const fn begin(&mut self, size: u64) -> RedemptionState {
        self.take(size == 0)
    }

    /// Counts an open download as done.
    pub const fn finish(&mut self) {
        debug_assert!(self.open > 0, "an open download is counted");
        self.open = self.open.saturating_sub(1);
        self.done = self.done.saturating_add(1);
    }

    /// Counts an open download as lapsed that has sent so many bytes of its size.
    pub const fn lapse(&mut self, size: u64, bytes_sent: u64) {
        debug_assert!(self.open > 0, "an open download is counted");
        self.open = self.open.saturating_sub(1);
        self.add_lapsed(size, bytes_sent);
    }

    /// Adds bytes that a lapsed download of this size has sent.
    ///
    /// The size of a share changes with its files. So the bytes never spend more downloads than there are files of this
    /// size begun in them, whatever sum larger ones had left.
    pub const fn add_lapsed(&mut self, size: u64, bytes: u64) {
        self.lapsed_bytes = self.lapsed_bytes.saturating_add_unsigned(bytes);
        if size == 0 || self.lapsed_bytes.is_negative() {
            return;
        }
        let sum = self.lapsed_bytes.cast_unsigned();
        let (all, begun) = (sum / size, bytes.div_ceil(size));
        let spent = if all < begun { all } else { begun };
        self.done = self.done.saturating_add(spent);
        self.lapsed_bytes = (sum % size).cast_signed();
    }

    /// Counts a lapsed download as started again: its bytes are no lapsed ones any more. Returns its state: one
    /// that has sent its whole size is done at once.
    #[must_use]
    pub const fn reopen(&mut self, size: u64, bytes_sent: u64) -> RedemptionState {
        self.lapsed_bytes = self.lapsed_bytes.saturating_sub_unsigned(bytes_sent);
        self.take(bytes_sent >= size)
    }

    const fn take(&mut self, is_done: bool) -> RedemptionState {
        if is_done {
            self.done = self.done.saturating_add(1);
            return RedemptionState::Done;
        }
        self.open = self.open.saturating_add(1);
        RedemptionState::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_subjects_keep_to_their_grammar() {
        let id = "0aZ".repeat(7) + "x";
        assert_eq!(RedemptionId::parse(&id).unwrap().as_str(), id);
        for bad in [
            "",
            &id[1..],
            &format!("{id}x"),
            &format!("{}-", &id[1..]),
            "é".repeat(11).as_str(),
        ] {
            assert_eq!(RedemptionId::parse(bad), None, "{bad}");
        }
        let of_link = Subject::of_link(Sha256Digest::new([0xab; 32]));
        assert_eq!(of_link.as_str(), format!("l{}", "ab".repeat(32)));
        assert_eq!(Subject::parse(of_link.as_str()), Some(of_link.clone()));
        let of_share = Subject::parse("sshare_1").unwrap();
        assert!(of_link.is_link() && !of_share.is_link());
        let share = ShareId::parse("share_1").unwrap();
        assert_eq!(Subject::of_share(&share), of_share);
        assert_eq!((of_share.share(), of_link.share()), (Some(share), None));
        let upper = format!("l{}", "AB".repeat(32));
        for bad in ["", "l", "s", "x1", "s.", "é", "lab", &upper] {
            assert_eq!(Subject::parse(bad), None, "{bad}");
        }
    }

    /// The words are those of the rule: a lapsed download gives back, and each file's worth of lapsed bytes spends one.
    #[test]
    fn lapsed_bytes_spend_a_download_for_each_size_and_come_back_when_one_opens_again() {
        let counts = |done, open, lapsed_bytes| DownloadCounts {
            done,
            open,
            lapsed_bytes,
        };
        let mut all = DownloadCounts::default();
        for _ in 0..3 {
            assert_eq!(all.begin(10), RedemptionState::Open);
        }
        all.lapse(10, 6);
        assert_eq!((all, all.left(3)), (counts(0, 2, 6), 1));
        all.lapse(10, 3);
        assert_eq!(all, counts(0, 1, 9));
        all.add_lapsed(10, 1);
        assert_eq!((all, all.left(3)), (counts(1, 1, 0), 1));
        assert_eq!(all.reopen(10, 6), RedemptionState::Open);
        assert_eq!((all, all.left(3)), (counts(1, 2, -6), 0));
        all.finish();
        all.lapse(10, 5);
        assert_eq!(all, counts(2, 0, -1));
        all.add_lapsed(10, 32);
        assert_eq!((all, all.left(3)), (counts(5, 0, 1), 0));
        assert_eq!(all.reopen(10, 10), RedemptionState::Done);
        assert_eq!(all, counts(6, 0, -9));
    }

    /// A share that had ten files has one now: what is left of a large download is no ninety small ones.
    #[test]
    fn lapsed_bytes_of_other_sizes_spend_no_more_than_was_begun() {
        let mut all = DownloadCounts {
            open: 4,
            ..DownloadCounts::default()
        };
        all.lapse(1_000, 900);
        all.lapse(10, 9);
        assert_eq!((all.done, all.open, all.lapsed_bytes), (1, 2, 9));
        all.lapse(10, 0);
        assert_eq!((all.done, all.lapsed_bytes), (1, 9));
        all.lapse(10, 25);
        assert_eq!((all.done, all.lapsed_bytes), (4, 4));
        all.add_lapsed(1_000, 995);
        assert_eq!((all.done, all.lapsed_bytes), (4, 999));
        all.add_lapsed(0, 7);
        assert_eq!((all.done, all.lapsed_bytes), (4, 1_006));
    }

    #[test]
    fn a_file_of_no_bytes_is_done_at_once() {
        let mut all = DownloadCounts::default();
        assert_eq!(all.begin(0), RedemptionState::Done);
        assert_eq!((all.done, all.open, all.left(1)), (1, 0, 0));
    }
}
