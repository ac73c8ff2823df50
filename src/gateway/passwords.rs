//! Passwords of shares: hashing them, with a bound on the memory and the processors that it takes whatever comes.
//!
//! 1. A guess is admitted first (`limits/guesses.rs`): one too many costs no hash.
//! 2. It waits for a permit, with a bounded number of others. Each organization has half of those, so that guesses at the
//!    shares of one leave the others theirs.
//! 3. It is hashed on a thread of its own, which holds the permit to its end. A client that goes away while it is hashed
//!    frees nothing: else whoever comes and goes could have any number of hashes made at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Gateway;
use super::refusal::Refusal;
use super::tenants::random;
use crate::model::id::OrganizationId;
use crate::sign::password::HashFault;
pub use crate::sign::password::{PASSWORD_BYTES_MAX, Password, UnfitPassword};

/// The most hashes that are made at once: 76 MiB of memory. No more than there are processors.
const AT_ONCE_MAX: usize = 4;

/// The most that wait for a permit.
const QUEUED_MAX: usize = 32;

/// The longest that one waits for a permit.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Makes hashes of passwords, a few at once.
#[derive(Debug)]
pub(super) struct PasswordWorker {
    permits: Arc<Semaphore>,
    at_once_max: usize,
    wait_max: Duration,
    under_way: Arc<UnderWay>,
}

/// The hashes that are waited for or made now, of each organization that has any.
#[derive(Debug, Default)]
struct UnderWay(Mutex<HashMap<OrganizationId, usize>>);

/// One of them, until this is dropped.
struct QueuedHash {
    under_way: Arc<UnderWay>,
    organization: OrganizationId,
}

impl UnderWay {
    /// Counts one more of this organization, where less than `max` are under way, and less than half of that of its own.
    fn enter(self: &Arc<Self>, organization: &OrganizationId, max: usize) -> Option<QueuedHash> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all: usize = counts.values().sum();
        let own = counts.get(organization).copied().unwrap_or(0);
        if of_all >= max || own >= max / 2 {
            return None;
        }
        counts.insert(organization.clone(), own + 1);
        Some(QueuedHash {
            under_way: Arc::clone(self),
            organization: organization.clone(),
        })
    }
}

impl Drop for QueuedHash {
    fn drop(&mut self) {
        let counts = self.under_way.0.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.organization) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.organization);
            }
        }
    }
}

impl PasswordWorker {
    /// Returns a worker with a permit for each processor, and at most four.
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with(processors.min(AT_ONCE_MAX), WAIT_MAX)
    }

    fn with(at_once_max: usize, wait_max: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once_max)),
            at_once_max,
            wait_max,
            under_way: Arc::default(),
        }
    }

    /// Does the work on a thread of its own, once there is a permit. Dropping the future gives up a wait; work that has
    /// begun goes on to its end, and keeps its permit until then.
    ///
    /// # Errors
    /// `Unavailable` where as many wait as may, of all or of this organization, and after the longest wait.
    async fn run<T: Send + 'static>(
        &self,
        organization: &OrganizationId,
        work: impl FnOnce() -> Result<T, HashFault> + Send + 'static,
    ) -> Result<T, Refusal> {
        let busy = || Refusal::Unavailable("too many passwords are being hashed".into());
        let max = self.at_once_max + QUEUED_MAX;
        let counted = self.under_way.enter(organization, max).ok_or_else(busy)?;
        let permit = timeout(self.wait_max, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(busy());
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // The thread owns both, whoever still waits for what it does.
            drop((permit, counted));
            done
        });
        match done.await {
            Ok(done) => done.map_err(|error| Refusal::Internal(error.to_string())),
            Err(error) => Err(Refusal::Internal(format!("hashing a password: {error}"))),
        }
    }
}

impl Gateway {
    /// Hashes the password that a share of this organization is to have, under a salt of its own: a PHC string.
    ///
    /// # Errors
    /// `Unavailable` where too many are being hashed.
    pub async fn hash_password(
        &self,
        organization: &OrganizationId,
        password: Password,
    ) -> Result<String, Refusal> {
        let salt = random()?;
        let hash = move || password.hash(salt);
        self.passwords.run(organization, hash).await
    }

    /// Returns whether the password is the one that has this PHC string, of a share of this organization. The guess has
    /// been admitted before.
    ///
    /// # Errors
    /// `Unavailable` where too many are being hashed.
    pub async fn is_password(
        &self,
        organization: &OrganizationId,
        phc: String,
        password: Password,
    ) -> Result<bool, Refusal> {
        let is_of = move || password.has_hash(&phc);
        self.passwords.run(organization, is_of).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    fn organization(id: &str) -> OrganizationId {
        OrganizationId::parse(id).unwrap()
    }

    fn is_busy<T>(answer: &Result<T, Refusal>) -> bool {
        matches!(answer, Err(Refusal::Unavailable(_)))
    }

    /// Work that says when it has begun, and ends when it is told to.
    fn held() -> (
        impl FnOnce() -> Result<(), HashFault> + Send + 'static,
        mpsc::Receiver<()>,
        mpsc::Sender<()>,
    ) {
        let (begun, has_begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let work = move || {
            begun.send(()).unwrap();
            // The other end is dropped at the latest when the test ends.
            let _ = ended.recv();
            Ok(())
        };
        (work, has_begun, end)
    }

    /// A permit that a request gives back when its client goes away, while the hash is still being made, would let whoever
    /// comes and goes have any number of hashes made at once.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_dropped_request_keeps_its_permit_until_the_hash_is_made() {
        let worker = PasswordWorker::with(1, Duration::from_millis(1));
        let one = organization("one");
        let (work, has_begun, end) = held();
        {
            let mut request = Box::pin(worker.run(&one, work));
            assert!(request.as_mut().now_or_never().is_none());
            has_begun.recv().unwrap();
        }
        assert_eq!(worker.permits.available_permits(), 0);
        assert!(is_busy(&worker.run(&one, || Ok(())).await));
        assert_eq!(worker.under_way.0.lock().unwrap().get(&one), Some(&1));
        end.send(()).unwrap();
        let permit = worker.permits.acquire().await.unwrap();
        drop(permit);
        while !worker.under_way.0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(worker.run(&one, || Ok(())).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_are_made_at_once_than_there_are_permits() {
        let worker = PasswordWorker::with(2, Duration::from_secs(60));
        let at_once: Arc<[AtomicUsize; 2]> = Arc::default();
        let organizations = ["one", "two"].map(organization);
        let all = (0..34).map(|number| {
            let at_once = Arc::clone(&at_once);
            let work = move || {
                let [now, most] = at_once.as_ref();
                let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(count, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            worker.run(&organizations[number % 2], work)
        });
        let all = join_all(all).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        let most = at_once[1].load(Ordering::SeqCst);
        assert!((1..=2).contains(&most), "{most}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn so_many_wait_and_half_of_them_of_one_organization() {
        let worker = PasswordWorker::with(2, Duration::from_secs(60));
        let [one, two, three] = ["one", "two", "three"].map(organization);
        let mut waiting = Vec::new();
        let mut ends = Vec::new();
        for tenant in [&one, &two] {
            for _ in 0..17 {
                let (work, begun, end) = held();
                let mut request = Box::pin(worker.run(tenant, work));
                assert!(request.as_mut().now_or_never().is_none());
                waiting.push(request);
                ends.push((begun, end));
            }
            assert!(is_busy(&worker.run(tenant, || Ok(())).await));
        }
        assert!(is_busy(&worker.run(&three, || Ok(())).await));
        // Who goes away while it waits makes way at once.
        drop(waiting.pop());
        let (work, begun, end) = held();
        let mut newcomer = Box::pin(worker.run(&three, work));
        assert!(newcomer.as_mut().now_or_never().is_none());
        ends.push((begun, end));
        let (_begun, ends): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        drop(ends);
        // All at once: those that came before are given their permits first.
        waiting.push(newcomer);
        assert!(join_all(waiting).await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_permit_back() {
        let worker = PasswordWorker::with(1, Duration::from_secs(60));
        let one = organization("one");
        let work = || -> Result<(), HashFault> { std::panic::panic_any("on purpose") };
        let answer = worker.run(&one, work).await;
        assert!(matches!(answer, Err(Refusal::Internal(_))), "{answer:?}");
        assert!(worker.run(&one, || Ok(())).await.is_ok());
        assert!(worker.under_way.0.lock().unwrap().is_empty());
    }
}
