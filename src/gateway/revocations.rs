//! What this process holds in memory of the catalogue, and how it stays true.
//!
//! Epochs, link revisions and denied links are under every link that is opened, so they are held in
//! memory. Whoever runs a gateway calls [`Gateway::look_in_time`] every [`LOOK_EVERY`]; it reloads them
//! when anybody revoked something. Memory that nobody compared for [`TRUSTED_FOR`] is not answered from:
//! the request looks by itself, and is refused as unavailable if that fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::Gateway;
use super::refusal::Refusal;
use crate::model::revocation::Revocations;

/// How often a running gateway looks whether others changed the catalogue.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long memory is trusted after it was last compared. What others revoked is refused within this.
pub const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long a request that finds the memory too old waits for its own look.
pub const LOOK_WAIT_MAX: Duration = Duration::from_secs(2);

/// The revocations in memory.
#[derive(Debug, Default)]
pub(super) struct Held {
    memory: RwLock<Option<Memory>>,
    /// Only one look at a time: the others wait for it and find its result. A reload holds this too.
    looking: Arc<tokio::sync::Mutex<()>>,
    /// How often this process revoked something: memory of before is not answered from.
    own_changes: AtomicU64,
}

#[derive(Clone, Debug)]
struct Memory {
    revocations: Arc<Revocations>,
    /// The catalogue's version that they were read at, or after.
    version: u64,
    /// On the gateway's own clock: when the look that confirmed them began.
    confirmed: Duration,
    /// How often this process had revoked something by then.
    own_changes: u64,
}

impl Held {
    fn memory(&self) -> Option<Memory> {
        self.memory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, memory: Memory) {
        *self.memory.write().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }

    /// This process revoked something: whoever asks from now on looks first.
    pub(super) fn note_own_change(&self) {
        self.own_changes.fetch_add(1, Ordering::SeqCst);
    }

    fn own_changes(&self) -> u64 {
        self.own_changes.load(Ordering::SeqCst)
    }
}

impl Gateway {
    /// Compares the revocations in memory with the catalogue and reloads them if they changed. What was
    /// committed before the call began is in memory when it answers.
    ///
    /// Waits as long as the catalogue may take; a request calls [`Gateway::look_in_time`]. Dropping the
    /// future leaves a reload that has begun to finish by itself: it is there for the next look, which
    /// so never has to start from nothing.
    pub async fn look(&self) -> Result<Arc<Revocations>, Refusal> {
        let one_at_a_time = Arc::clone(&self.held.looking).lock_owned().await;
        let confirmed = self.clock.elapsed();
        let own_changes = self.held.own_changes();
        let version = self.catalog.versions().await?.revocations;
        if let Some(memory) = self.held.memory()
            && memory.version == version
        {
            let revocations = Arc::clone(&memory.revocations);
            self.held.remember(Memory {
                confirmed,
                own_changes,
                ..memory
            });
            return Ok(revocations);
        }
        let (catalog, held) = (Arc::clone(&self.catalog), Arc::clone(&self.held));
        let now = self.clock.now();
        let reload = async move {
            let revocations = Arc::new(catalog.revocations(now).await?);
            held.remember(Memory {
                revocations: Arc::clone(&revocations),
                version,
                confirmed,
                own_changes,
            });
            drop(one_at_a_time);
            Ok(revocations)
        };
        let ended = tokio::spawn(reload).await;
        ended.map_err(|error| Refusal::Internal(format!("reading what was revoked: {error}")))?
    }

    /// The revocations, at most [`TRUSTED_FOR`] old.
    pub(super) async fn revocations(&self) -> Result<Arc<Revocations>, Refusal> {
        if let Some(memory) = self.held.memory()
            && self.clock.elapsed().saturating_sub(memory.confirmed) < TRUSTED_FOR
            && memory.own_changes == self.held.own_changes()
        {
            return Ok(memory.revocations);
        }
        self.look_in_time().await
    }

    /// From now on every look waits until the guard is dropped, as behind a catalogue that hangs.
    #[cfg(test)]
    pub(crate) async fn stall_looks(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.held.looking).lock_owned().await
    }

    /// [`Gateway::look`], given up after [`LOOK_WAIT_MAX`]: unavailable then.
    pub async fn look_in_time(&self) -> Result<Arc<Revocations>, Refusal> {
        let late = |_| Refusal::Unavailable("the catalogue did not say what was revoked".into());
        tokio::time::timeout(LOOK_WAIT_MAX, self.look())
            .await
            .map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::catalog::contract::{file, file_id, organization};
    use crate::catalog::sqlite::Sqlite;
    use crate::catalog::{Catalog, FILES_ADDED_MAX};
    use crate::gateway::mint::MintOptions;
    use crate::gateway::principal::Principal;
    use crate::gateway::testing;
    use crate::model::file::FileRecord;
    use crate::model::id::{ApiKeyId, OrganizationId};
    use crate::model::key::Scopes;

    struct Place {
        _directory: tempfile::TempDir,
        catalog: Arc<Sqlite>,
        gateway: Gateway,
        owner: OrganizationId,
    }

    /// A gateway on a disk, and `raised` files whose links were revoked once.
    async fn place(raised: usize) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.sqlite3");
        let catalog = Arc::new(Sqlite::open(&path).await.unwrap());
        let owner = organization(catalog.as_ref(), "a").await;
        let files: Vec<FileRecord> = (0..raised)
            .map(|number| FileRecord {
                link_revision: 1,
                ..file(&owner, &format!("f{number}"), 1)
            })
            .collect();
        for some in files.chunks(FILES_ADDED_MAX) {
            catalog.add_files(some).await.unwrap();
        }
        let shared: Arc<dyn Catalog> = Arc::clone(&catalog) as _;
        Place {
            _directory: directory,
            catalog,
            gateway: testing::gateway(shared, testing::memory_blobs()),
            owner,
        }
    }

    #[tokio::test]
    async fn an_upload_costs_no_reload_of_what_was_revoked() {
        let place = place(100_000).await;
        let begun = Instant::now();
        let before = place.gateway.look().await.unwrap();
        println!(
            "the first look, of 100,000 revisions: {:?}",
            begun.elapsed()
        );
        let upload = file(&place.owner, "upload", 1);
        place.catalog.add_file(&upload).await.unwrap();
        let begun = Instant::now();
        let after = place.gateway.look().await.unwrap();
        println!("the look after an upload: {:?}", begun.elapsed());
        assert!(Arc::ptr_eq(&before, &after), "nothing was read again");

        let raised = place
            .catalog
            .raise_link_revision(&place.owner, &upload.id, 200_000);
        raised.await.unwrap();
        let begun = Instant::now();
        let after = place.gateway.look().await.unwrap();
        println!("the look after a revocation: {:?}", begun.elapsed());
        assert_eq!(after.revision(&place.owner, &upload.id), 1);
    }

    #[tokio::test]
    async fn a_reload_goes_on_when_the_one_who_waited_gives_up() {
        let place = place(20_000).await;
        let patience = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(patience, place.gateway.look())
                .await
                .is_err(),
            "reading so much takes longer"
        );
        let begun = Instant::now();
        let known = loop {
            if let Ok(known) = tokio::time::timeout(patience, place.gateway.look()).await {
                break known.unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "never ready");
        };
        assert_eq!(known.revision(&place.owner, &file_id("f0")), 1);
    }

    #[tokio::test]
    async fn minting_does_not_wait_longer_than_a_request_may() {
        let place = place(0).await;
        place
            .catalog
            .add_file(&file(&place.owner, "f", 1))
            .await
            .unwrap();
        let caller = Principal {
            key: ApiKeyId::from_random([1; 16]),
            organization: place.owner.clone(),
            scopes: Scopes::USUAL,
        };
        let _stalled = place.gateway.stall_looks().await;
        let options = MintOptions::default();
        let minting = place.gateway.mint(&caller, "f", &options, None);
        let outcome = tokio::time::timeout(LOOK_WAIT_MAX * 2, minting).await;
        let outcome = outcome.expect("an answer in time");
        assert!(
            matches!(outcome, Err(Refusal::Unavailable(_))),
            "{outcome:?}"
        );
    }
}
