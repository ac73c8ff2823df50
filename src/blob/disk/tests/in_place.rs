//! Files registered in place.

use super::*;
use crate::blob::contract::refusal;
use crate::model::file::InPlace;

#[tokio::test]
async fn a_file_in_place_is_held_to_what_it_was() {
    let fixture = Fixture::new();
    let bytes = sample(5 * 1024 * 1024 + 3);
    let path = fixture.file_in_place("film.mp4", &bytes);
    let registered = fixture.disk.register(&path).await.unwrap();
    assert_eq!(registered.file.path, path);
    assert_eq!(registered.size, bytes.len() as u64);
    let stored = put(&fixture.disk, key(1, 1), &[&bytes]).await;
    assert_eq!(registered.sha256, stored.sha256);
    let (disk, size, at) = (&fixture.disk, registered.size, registered.file);
    let blob = open_in_place(disk, &at, size).await.unwrap();
    assert!(read(&blob).await == bytes);
    damage(open_in_place(disk, &at, size + 1).await);
    let other_time = InPlace {
        modified_nanos: at.modified_nanos + 1,
        ..at.clone()
    };
    damage(open_in_place(disk, &other_time, size).await);
    let plus = |one: Option<u64>| one.map(|one| one + 1);
    for other in [
        InPlace {
            inode: at.inode + 1,
            ..at.clone()
        },
        InPlace {
            device: plus(at.device),
            ..at.clone()
        },
        InPlace {
            device: None,
            ..at.clone()
        },
        InPlace {
            changed_nanos: at.changed_nanos.map(|one| one - 1),
            ..at.clone()
        },
        InPlace {
            changed_nanos: None,
            ..at.clone()
        },
    ] {
        assert_eq!(moved(open_in_place(disk, &other, size).await), at);
    }

    // Touched; and with its old time again.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let touch = |path: &Path, time| {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap()
    };
    touch(&path, modified + Duration::from_secs(1));
    damage(open_in_place(disk, &at, size).await);
    touch(&path, modified);
    let now = moved(open_in_place(disk, &at, size).await);
    assert_eq!((now.inode, now.device), (at.inode, at.device));
    open_in_place(disk, &now, size).await.unwrap();
    // Replaced by its like, cut, gone.
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    touch(&copy, modified);
    fs::rename(&copy, &path).unwrap();
    assert_ne!(moved(open_in_place(disk, &now, size).await).inode, at.inode);
    fs::write(&path, "short").unwrap();
    damage(open_in_place(disk, &at, size).await);
    fs::remove_file(&path).unwrap();
    damage(open_in_place(disk, &at, size).await);
}

/// Under its old length and its old time, which only the time of change tells.
#[tokio::test]
async fn a_file_in_place_that_is_rewritten_while_it_is_open_gives_no_byte_more() {
    let fixture = Fixture::new();
    let path = fixture.file_in_place("film.mp4", &sample(1_000_000));
    let registered = fixture.disk.register(&path).await.unwrap();
    let blob = open_in_place(&fixture.disk, &registered.file, registered.size).await;
    let blob = blob.unwrap();
    let stamp = blob.stamp().unwrap();
    assert_eq!(blob.stamp().unwrap(), stamp);
    let before = fs::metadata(&path).unwrap();
    // A clock of a few milliseconds goes by.
    while fs::metadata(&path).unwrap().ctime_nsec() == before.ctime_nsec() {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"others", 500_000).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }
    damage(blob.stamp());
    damage(blob.read_at(0, 10).await);
    // Of a blob of our own, the mode and the links may change at any time.
    put(&fixture.disk, key(1, 2), &[b"ours"]).await;
    let ours = fixture.disk.open(&BlobLocation::Stored(key(1, 2)), 4).await;
    let ours = ours.unwrap();
    let Blob::File { file, .. } = &ours else {
        panic!("it is a file")
    };
    let stamp = ours.stamp().unwrap();
    let before = file.metadata().unwrap();
    while file.metadata().unwrap().ctime_nsec() == before.ctime_nsec() {
        file.set_permissions(Permissions::from_mode(0o640)).unwrap();
    }
    assert_eq!(ours.stamp().unwrap(), stamp);
    assert_eq!(read(&ours).await, "ours");
}

/// The identity that a file in place has now, which is another one.
fn moved(opened: Result<Blob, BlobError>) -> InPlace {
    match opened {
        Err(BlobError::Moved { found }) => *found,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_regular_files_below_a_root_are_registered() {
    let fixture = Fixture::new();
    let path = fixture.file_in_place("file", b"good");
    let place = path.parent().unwrap();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("file"), "outside").unwrap();
    symlink(&path, place.join("link")).unwrap();
    symlink(outside.path(), place.join("way-out")).unwrap();
    symlink(place, place.join("way-round")).unwrap();
    fs::create_dir(place.join("directory")).unwrap();
    mkfifoat(CWD, place.join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();

    let cases = [
        (outside.path().join("file"), "below no configured root"),
        (place.join("link"), "symbolic link"),
        (place.join("way-out/file"), "symbolic link"),
        (place.join("way-round/file"), "symbolic link"),
        (place.join("directory"), "no regular file"),
        (place.join("fifo"), "no regular file"),
        (place.join("none"), "not there"),
        (place.join("file/below"), "not there"),
        (place.to_owned(), "not there"),
        (place.join("directory/../file"), "not plain"),
        (place.join("../file"), "not plain"),
        (place.join("nul\0"), "can be no file's"),
        (place.join("x".repeat(300)), "can be no file's"),
    ];
    for (path, expected) in cases {
        let why = refusal(fixture.disk.register(&path).await);
        assert!(why.contains(expected), "{}: {why}", path.display());
        let forged = InPlace {
            path,
            inode: 1,
            modified_nanos: 1,
            device: None,
            changed_nanos: None,
        };
        damage(open_in_place(&fixture.disk, &forged, 4).await);
    }
    // An empty file is a file, and needless marks in its path are left out.
    fs::write(place.join("directory/empty"), "").unwrap();
    let spelled = format!("{}//directory/./empty", place.display());
    let registered = fixture.disk.register(Path::new(&spelled)).await.unwrap();
    assert_eq!(
        registered.file.path.as_os_str(),
        place.join("directory/empty").as_os_str()
    );
    assert_eq!(registered.size, 0);
}

#[tokio::test]
async fn a_root_may_be_a_link_and_the_registered_path_is_without_it() {
    let fixture = Fixture::new();
    let path = fixture.file_in_place("file", b"good");
    let link = fixture.root.path().join("link");
    symlink(fixture.place.path(), &link).unwrap();
    let disk = Disk::open(
        fixture.root.path(),
        std::slice::from_ref(&link),
        Readers::Owner,
    )
    .unwrap();
    for spelled in [&link.join("file"), &path] {
        let registered = disk.register(spelled).await.unwrap();
        assert_eq!(registered.file.path, path);
        open_in_place(&disk, &registered.file, 4).await.unwrap();
        let rootless = Disk::open(fixture.root.path(), &[], Readers::Owner).unwrap();
        let what = damage(open_in_place(&rootless, &registered.file, 4).await);
        assert!(what.contains("below no configured root"), "{what}");
    }
}

#[test]
fn a_root_that_is_not_there_is_named() {
    let root = TempDir::new().unwrap();
    let missing = root.path().join("missing");
    let Err(BlobError::Io { source, .. }) =
        Disk::open(root.path(), std::slice::from_ref(&missing), Readers::Owner)
    else {
        panic!("opened");
    };
    assert!(
        source.to_string().contains(missing.to_str().unwrap()),
        "{source}"
    );
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_refused() {
    let fixture = Fixture::new();
    let path = fixture.file_in_place("log", &sample(1_000));
    for change in [
        |file: &File| file.set_len(2_000),
        |file: &File| file.set_len(10),
    ] {
        let candidate = fixture.disk.roots.candidate(&path).unwrap();
        change(&File::options().write(true).open(&path).unwrap()).unwrap();
        let why = refusal(candidate.register().await);
        assert!(why.contains("changed"), "{why}");
    }
}

async fn open_in_place(disk: &Disk, file: &InPlace, size: u64) -> Result<Blob, BlobError> {
    disk.open(&BlobLocation::InPlace(file.clone()), size).await
}
