//! Stages: what is swept, what is dropped, what cannot be committed.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn an_abandoned_stage_is_swept_and_a_locked_one_is_not() {
    let fixture = Fixture::new();
    let locked = File::create_new(fixture.stage_path(key(1, 1))).unwrap();
    locked.lock().unwrap();
    for second in [2, 3, 4] {
        fs::write(fixture.stage_path(key(1, second)), "abandoned").unwrap();
    }
    fs::write(fixture.root.path().join("blobs/stage/README"), "foreign").unwrap();
    fs::create_dir(fixture.stage_path(key(1, 5))).unwrap();
    let live = fixture.disk.stage(key(1, 6)).await.unwrap();
    assert_eq!(fixture.disk.abandoned_stages().await.unwrap(), 3);
    assert_eq!(fixture.stages(), 7, "none was removed");
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 2);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 1);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 0);
    assert_eq!(fixture.stages(), 4);
    drop(locked);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 1);
    live.commit().await.unwrap();
}

/// Made and swept as fast as it goes under one name, so that a sweep falls between every two steps of
/// a writer sooner or later.
#[test]
fn a_sweep_never_takes_a_stage_that_somebody_holds() {
    let fixture = Fixture::new();
    let (directories, key) = (&fixture.disk.directories, key(1, 1));
    let path = fixture.stage_path(key);
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| {
            let mut swept = 0;
            while !finished.load(Ordering::Relaxed) {
                let one = stage::sweep_one(&directories.stages, &key.to_string());
                swept += usize::from(one.unwrap());
            }
            swept
        });
        let mut alive = true;
        for _ in 0..20_000 {
            let stage = DiskStage::create(directories, key, 0).unwrap();
            alive &= path.exists() && path.exists();
            drop(stage);
        }
        finished.store(true, Ordering::Relaxed);
        println!("{swept} swept", swept = sweeping.join().unwrap());
        assert!(alive);
    });
    assert_eq!(fixture.stages(), 0);
}

/// Runs the test with a single blocking thread, so that [`give_up_a_write`] can keep it busy.
fn with_one_thread(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(test);
}

/// Begins a write that cannot end, and drops the answer half-way.
fn give_up_a_write(staged: &mut dyn Staged) {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let busy = tokio::task::spawn_blocking(move || held.recv());
    let half = staged.write(sample(1_000_000).into()).now_or_never();
    assert!(half.is_none(), "{half:?}");
    drop((release, busy));
}

/// Others must not wait for what needs no disk.
#[test]
fn a_blob_whose_name_is_in_memory_is_opened_while_all_threads_wait_for_disks() {
    with_one_thread(async {
        let fixture = Fixture::new();
        put(&fixture.disk, key(1, 1), &[b"here"]).await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || held.recv());
        let location = BlobLocation::Stored(key(1, 1));
        let opened = fixture.disk.open(&location, 4).now_or_never();
        let opened = opened.expect("it waited for a thread").unwrap();
        assert_eq!(opened.size(), 4);
        // A wrong size is refused on the blocking pool.
        assert!(fixture.disk.open(&location, 5).now_or_never().is_none());
        drop((release, busy));
        let refused = fixture.disk.open(&location, 5).await;
        assert!(
            matches!(refused, Err(BlobError::Damaged { .. })),
            "{refused:?}"
        );
        assert_eq!(&read(&opened).await[..], b"here");
    });
}

#[test]
fn a_stage_dropped_while_it_writes_leaves_nothing() {
    with_one_thread(async {
        let fixture = Fixture::new();
        let mut staged = fixture.disk.stage(key(1, 1)).await.unwrap();
        staged.write(sample(1_000_000).into()).await.unwrap();
        drop(staged);
        let mut staged = fixture.disk.stage(key(1, 2)).await.unwrap();
        give_up_a_write(&mut *staged);
        drop(staged);
        // A commit that never began.
        let mut staged = fixture.disk.stage(key(1, 3)).await.unwrap();
        staged.write(sample(1_000_000).into()).await.unwrap();
        drop(staged.commit());
        fixture.no_stages().await;
        assert_eq!(fixture.disk.list(None, 1).await.unwrap(), []);
    });
}

#[test]
fn a_stage_whose_write_was_given_up_cannot_be_committed() {
    with_one_thread(async {
        let fixture = Fixture::new();
        let mut staged = fixture.disk.stage(key(1, 1)).await.unwrap();
        give_up_a_write(&mut *staged);
        assert!(staged.write(Bytes::from_static(b"more")).await.is_err());
        assert!(staged.commit().await.is_err());
        fixture.no_stages().await;
        assert_eq!(fixture.disk.list(None, 1).await.unwrap(), []);
    });
}

#[test]
fn a_stage_dropped_after_its_runtime_leaves_nothing() {
    let fixture = Fixture::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let staged = runtime.block_on(fixture.disk.stage(key(1, 1))).unwrap();
    drop(runtime);
    assert_eq!(fixture.stages(), 1);
    drop(staged);
    assert_eq!(fixture.stages(), 0);
}

#[tokio::test]
async fn what_an_earlier_version_left_where_it_wrote_is_swept_and_what_it_holds_is_not() {
    let fixture = Fixture::new();
    let before = fixture.root.path().join("stage");
    assert!(!before.exists(), "nothing is made there any more");
    fs::create_dir(&before).unwrap();
    let held = File::create_new(before.join(key(1, 1).to_string())).unwrap();
    held.lock().unwrap();
    for second in [2, 3] {
        fs::write(before.join(key(1, second).to_string()), "abandoned").unwrap();
    }
    fs::write(fixture.stage_path(key(1, 4)), "abandoned").unwrap();
    assert_eq!(fixture.disk.abandoned_stages().await.unwrap(), 3);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 2);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 1);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 0);
    drop(held);
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 1);
    assert_eq!(fs::read_dir(&before).unwrap().count(), 0);
    // A link there is not followed.
    fs::remove_dir(&before).unwrap();
    let elsewhere = TempDir::new().unwrap();
    fs::write(elsewhere.path().join(key(1, 5).to_string()), "foreign").unwrap();
    symlink(elsewhere.path(), &before).unwrap();
    assert_eq!(fixture.disk.sweep_stages(2).await.unwrap(), 0);
}

#[tokio::test]
async fn a_look_at_the_store_leaves_nothing_and_what_a_killed_one_left_is_swept() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        fixture.disk.is_reachable(key(1, 1)).await.unwrap();
    }
    let blobs = fixture.root.path().join("blobs");
    let names = || {
        let entries = fs::read_dir(&blobs).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    assert_eq!((names(), fixture.stages()), (vec!["stage".to_owned()], 0));
    fs::write(blobs.join(key(1, 1).to_string()), "probe").unwrap();
    assert_eq!(fixture.disk.list(None, 9).await.unwrap(), []);
    assert_eq!(fixture.disk.sweep_stages(9).await.unwrap(), 1);
    assert_eq!(names(), ["stage"]);
}
