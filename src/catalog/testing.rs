//! The catalogue that unit tests use: SQLite in a temporary directory, which counts its calls and can hesitate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::announcements::Announcements;
use super::changes::{FeedPage, FeedPosition};
use super::sql::session::{Session, SessionKind};
use super::sql::{Database, Working};
use super::sqlite::Sqlite;
use super::{Answer, CatalogError};

/// An empty catalogue of its own, and how many calls of its port there were.
pub(crate) struct TestCatalog {
    /// A second connection to the catalogue, as another process has one: its calls are not counted.
    pub(crate) other: Sqlite,
    directory: Arc<TempDir>,
    calls: AtomicU64,
    hesitation: Mutex<Option<Hesitation>>,
    /// True if files that are added together are added, and nobody is told.
    is_silent: AtomicBool,
    /// True if there is no room for anything that is written.
    is_full: AtomicBool,
    /// What cannot be done now, while everything else can.
    failing: Mutex<Option<&'static str>>,
    /// The pages of the change feed that are answered; nobody hears of the next one.
    pages: AtomicU64,
}

/// A pause of the next call of a kind: it reports that it is done, and waits before it answers.
struct Hesitation {
    doing: &'static str,
    seen: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

impl TestCatalog {
    /// Makes an empty catalogue.
    pub(crate) async fn new() -> Self {
        // In memory, where it is to be had: what a power cut leaves is not asked here.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::within(Arc::new(directory.unwrap())).await
    }

    /// Opens the same catalogue once more, as another process does.
    pub(crate) async fn beside(&self) -> Self {
        Self::within(Arc::clone(&self.directory)).await
    }

    async fn within(directory: Arc<TempDir>) -> Self {
        let path = directory.path().join("catalogue.sqlite3");
        Self {
            other: Sqlite::open(&path).await.unwrap(),
            directory,
            calls: AtomicU64::default(),
            hesitation: Mutex::default(),
            is_silent: AtomicBool::default(),
            is_full: AtomicBool::default(),
            failing: Mutex::default(),
            pages: AtomicU64::new(u64::MAX),
        }
    }

    /// Returns how many calls there were since the last time.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Has the next look for a file hesitate. Answers when it has read the row, and lets it answer.
    pub(crate) fn hesitate(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        self.hesitate_in("looking for a file")
    }

    /// Has the next call that does this hesitate. Answers when it is done, and lets it answer.
    pub(crate) fn hesitate_in(
        &self,
        doing: &'static str,
    ) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (seen, is_seen) = oneshot::channel();
        let (let_go, go_on) = oneshot::channel();
        *self.hesitation.lock().unwrap() = Some(Hesitation { doing, seen, go_on });
        (is_seen, let_go)
    }

    /// From now on so many pages of the change feed are answered, and none after them.
    pub(crate) fn answer_pages(&self, pages: u64) {
        self.pages.store(pages, Ordering::Relaxed);
    }

    /// From now on files that are added together are added, and the answer is that nobody knows.
    pub(crate) fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    /// From now on there is room for what is written, or not.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// From now on this one call fails, or none.
    pub(crate) fn fail_in(&self, doing: Option<&'static str>) {
        *self.failing.lock().unwrap() = doing;
    }
}

impl Database for TestCatalog {
    const IS_A_SERVER: bool = false;

    fn run<'a, T: Send + 'a>(
        &'a self,
        access: SessionKind,
        doing: &'static str,
        work: impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync + 'a,
    ) -> Answer<'a, T> {
        let mut hesitation = self.hesitation.lock().unwrap();
        let hesitation = hesitation.take_if(|next| next.doing == doing);
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if access.writes() && self.is_full.load(Ordering::Relaxed) {
                return Err(CatalogError::NoSpace { doing });
            }
            if *self.failing.lock().unwrap() == Some(doing) {
                let source = "it is to fail".into();
                return Err(CatalogError::Unavailable { doing, source });
            }
            let done = self.other.run(access, doing, work).await;
            if let Some(Hesitation { seen, go_on, .. }) = hesitation {
                seen.send(()).unwrap();
                go_on.await.unwrap();
            }
            if doing.starts_with("adding files") && self.is_silent.load(Ordering::Relaxed) {
                let source = "it fell silent".into();
                return Err(CatalogError::Unavailable { doing, source });
            }
            done
        })
    }

    fn reading_connections(&self) -> usize {
        self.other.reading_connections()
    }

    fn read_changes(&self, after: FeedPosition) -> Answer<'_, Option<FeedPage>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let one_less = |left: u64| left.checked_sub(1);
        if self
            .pages
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_err()
        {
            return Box::pin(std::future::pending());
        }
        self.other.read_changes(after)
    }

    fn heard(&self) -> Answer<'_, ()> {
        self.other.heard()
    }

    fn channel(&self) -> &dyn Announcements {
        self.other.channel()
    }
}
