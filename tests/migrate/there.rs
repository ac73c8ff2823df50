//! There and back.

use super::{URL, assert_opens, link_at, migrated, sample, seen, serve, take_keyring};
use crate::cli::support::{Place, status, text, until};
use crate::support::postgres::Server;

/// An installation with something of every kind.
pub(crate) struct Old {
    pub(crate) place: Place,
    pub(crate) ids: Vec<String>,
    pub(crate) bytes: Vec<Vec<u8>>,
    /// A link to each file, and what is not to open any more.
    pub(crate) links: Vec<String>,
    pub(crate) dead: Vec<String>,
}

impl Old {
    pub(crate) fn new() -> Self {
        Self::of(Place::new(), "http://old.example")
    }

    pub(crate) fn of(place: Place, base: &str) -> Self {
        let lengths = [0, 1, 300_000, 1 << 20, (1 << 20) + 1, 6 << 20];
        let bytes: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(number, length)| sample(number, *length))
            .collect();
        let add = |(number, bytes): (usize, &Vec<u8>)| place.add(&format!("{number}.bin"), bytes);
        let ids: Vec<String> = bytes.iter().enumerate().map(add).collect();
        place.good(&["organization", "create", "--id", "org_b", "--name", "Бэ"]);
        place.good(&["space", "create", "--id", "s1"]);
        place.good(&["folder", "create", "--id", "f1", "--member", "org_b"]);
        place.good(&["folder", "add", "f1", &ids[1], &ids[2]]);
        place.good(&["apikey", "create", "--name", "website"]);
        let key = place.json(&["apikey", "create", "--name", "paused", "--app"]);
        place.good(&["apikey", "pause", &text(&key, "api_key_id")]);
        let link = |id: &String| text(&place.sign(base, id, &[]), "download_url");
        let mut dead = vec![link(&ids[0]), link(&ids[1])];
        place.good(&["revoke", "--no-wait", &dead[0]]);
        place.good(&["revoke", "--no-wait", "--file", &ids[1]]);
        let other = place.file("b.bin", b"of org_b");
        let other = other.to_str().unwrap();
        let of_b = place.json(&["add", other, "--organization", "org_b"]);
        let words = ["--organization", "org_b"];
        let of_b = place.sign(base, &text(&of_b[0], "file_id"), &words);
        dead.push(text(&of_b, "download_url"));
        place.good(&["revoke", "--no-wait", "--organization", "org_b"]);
        let gone = place.add("gone.bin", b"soon in the recycle bin");
        dead.push(link(&gone));
        place.good(&["rm", &gone]);
        let links = ids.iter().map(link).collect();
        Self {
            place,
            ids,
            bytes,
            links,
            dead,
        }
    }

    /// Asks a gateway for everything.
    pub(crate) fn assert_served_at(&self, base: &str) {
        for (link, bytes) in self.links.iter().zip(&self.bytes) {
            assert_opens(&link_at(base, link), bytes);
        }
        for link in &self.dead {
            assert_ne!(status(&link_at(base, link)), 200, "{link}");
        }
    }
}

#[test]
fn an_installation_moves_to_a_database_and_back() {
    let old = Old::new();
    let url = Server::shared().database("there");
    let new = Place::with(&[(URL, &url)]);
    let (serving, base) = serve(&old.place);
    old.assert_served_at(&base);
    serving.stop("TERM");
    let before = seen(&old.place);

    let data = new.path("data");
    let words = ["--to-catalog", &url, "--to-blobs", data.to_str().unwrap()];
    let said = migrated(&old.place, &words);
    let files = old.ids.len() as u64 + 2;
    assert_eq!(
        said["files_copied"], files,
        "with the one in the bin: {said}"
    );
    assert_eq!(
        (&said["in_step"], &said["passes"]),
        (&true.into(), &2.into())
    );
    assert_eq!(
        (&said["left_out"], &said["rows_removed"]),
        (&0.into(), &0.into())
    );
    assert_eq!(seen(&old.place), before, "the source is as it was");
    take_keyring(&new, &old.place);
    assert_eq!(seen(&new), before);
    new.good(&["doctor"]);
    // What only looks makes no installation of its own of it.
    let again = migrated(&old.place, &words);
    assert_eq!(
        (&again["rows_copied"], &again["files_copied"]),
        (&0.into(), &0.into())
    );

    let (serving, base) = serve(&new);
    old.assert_served_at(&base);
    let late = new.add("late.bin", b"made at the new place");
    let late = text(&new.sign("http://new.example", &late, &[]), "download_url");
    new.good(&["revoke", &old.links[3]]);
    until("the new place's own revocation", || {
        status(&link_at(&base, &old.links[3])) == 401
    });
    serving.stop("TERM");

    let back = Place::new();
    let data = back.path("data");
    let data = data.to_str().unwrap();
    let said = migrated(&new, &["--to-catalog", data, "--to-blobs", data]);
    assert_eq!(said["files_copied"], files + 1, "{said}");
    take_keyring(&back, &new);
    assert_eq!(seen(&back), seen(&new));
    let (_serving, base) = serve(&back);
    assert_opens(&link_at(&base, &late), b"made at the new place");
    assert_eq!(status(&link_at(&base, &old.links[3])), 401);
    assert_opens(&link_at(&base, &old.links[5]), &old.bytes[5]);
    for link in &old.dead {
        assert_ne!(status(&link_at(&base, link)), 200, "{link}");
    }
}

#[test]
fn one_half_may_stay_where_it_is() {
    let old = Old::new();
    // The rows go; the bytes are asked where they were.
    let url = Server::shared().database("one_half");
    let said = migrated(&old.place, &["--to-catalog", &url]);
    assert_eq!(said["files_copied"], 0);
    let told = old.place.good(&["migrate", "--to-catalog", &url]);
    assert!(
        told.contains("never start the gateways of the source again"),
        "{told}"
    );
    let data = old.place.path("data");
    let between = [
        (URL, url.as_str()),
        ("HALLPASS_SERVER_DATA_DIR", data.to_str().unwrap()),
    ];
    let between = Place::with(&between);
    between.good(&["doctor"]);
    // The bytes follow.
    let new = Place::with(&[(URL, &url)]);
    let elsewhere = new.path("data");
    let elsewhere = elsewhere.to_str().unwrap();
    let said = migrated(&between, &["--to-blobs", elsewhere]);
    assert_eq!(said["rows_copied"], 0);
    assert_eq!(said["files_copied"], old.ids.len() as u64 + 2);
    let said = migrated(&between, &["--to-blobs", elsewhere]);
    assert_eq!(said["files_copied"], 0);
    take_keyring(&new, &old.place);
    new.good(&["doctor"]);
    let (_serving, base) = serve(&new);
    old.assert_served_at(&base);
}

/// Nobody has their directory at the new place.
#[test]
fn files_in_place_get_bytes_of_their_own_there() {
    let place = Place::new();
    let kept = place.file("kept/in-place.bin", b"kept by somebody else");
    let kept = std::fs::canonicalize(kept).unwrap();
    let root = kept.parent().unwrap();
    let config = format!("[blobs]\nin_place_roots = [{root:?}]\n");
    place.file("h.toml", config.as_bytes());
    let config = ["--config", "h.toml"];
    let add = ["add", "--in-place", kept.to_str().unwrap()];
    let id = text(&place.json(&[&add[..], &config].concat())[0], "file_id");
    let link = text(&place.sign("http://a", &id, &config), "download_url");
    let new = Place::new();
    let data = new.path("data");
    let data = data.to_str().unwrap();
    let both = [&["--to-catalog", data, "--to-blobs", data], &config[..]].concat();
    for copied in [1, 0] {
        let said = migrated(&place, &both);
        assert_eq!(said["files_copied"], copied, "{said}");
        assert_eq!(said["in_place"], 0, "{said}");
    }
    take_keyring(&new, &place);
    let (_serving, base) = serve(&new);
    assert_opens(&link_at(&base, &link), b"kept by somebody else");
    // Where the rows stay, so do they.
    let url = Server::shared().database("in_place");
    migrated(&place, &[&["--to-catalog", &url], &config[..]].concat());
    let elsewhere = place.path("elsewhere");
    let mut words = vec!["migrate", "--json", "--to-blobs"];
    words.extend([elsewhere.to_str().unwrap(), config[0], config[1]]);
    let output = place.command(&words).env(URL, &url).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&said["files_copied"], &said["in_place"]),
        (&0.into(), &1.into())
    );
}
