//! The statements that move rows: the same texts for both databases.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::Fault;
use super::rows::{self, Columns};
use super::transfer::Kind;

/// How a kind is kept.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Those of the key first.
    pub(super) columns: &'static [&'static str],
    /// How many columns the key has.
    pub(super) key: usize,
    /// What a row `new` must belong to.
    belongs: &'static str,
}

const OF_ORGANIZATION: &str =
    "EXISTS (SELECT 1 FROM organization WHERE organization.id = new.organization)";
const OF_FILE: &str =
    "EXISTS (SELECT 1 FROM file WHERE file.organization = new.organization AND file.id = new.file)";

const ORGANIZATION: Table = Table {
    name: "organization",
    columns: &["id", "name", "epoch", "created_at"],
    key: 1,
    belongs: "true",
};

const SPACE: Table = Table {
    name: "space",
    columns: &["organization", "id", "name", "created_at"],
    key: 2,
    belongs: OF_ORGANIZATION,
};

const API_KEY: Table = Table {
    name: "api_key",
    columns: &[
        "id",
        "organization",
        "name",
        "digest",
        "scopes",
        "state",
        "created_at",
        "expires_at",
    ],
    key: 1,
    belongs: OF_ORGANIZATION,
};

const APP: Table = Table {
    name: "app",
    columns: &["id", "api_key", "secret", "created_at"],
    key: 1,
    belongs: "EXISTS (SELECT 1 FROM api_key WHERE api_key.id = new.api_key)",
};

const FOLDER: Table = Table {
    name: "folder",
    columns: &["organization", "id", "name", "created_at"],
    key: 2,
    belongs: OF_ORGANIZATION,
};

const FOLDER_MEMBER: Table = Table {
    name: "folder_member",
    columns: &["organization", "folder", "member"],
    key: 3,
    belongs: "EXISTS (SELECT 1 FROM folder WHERE folder.organization = new.organization AND folder.id = new.folder) \
         AND EXISTS (SELECT 1 FROM organization WHERE organization.id = new.member)",
};

const FILE: Table = Table {
    name: "file",
    columns: &[
        "organization",
        "id",
        "space",
        "name",
        "media_type",
        "size",
        "sha256",
        "purpose",
        "state",
        "deleted_at",
        "metadata",
        "created_at",
        "updated_at",
        "uploaded_by",
        "damaged_at",
        "link_revision",
        "blob",
        "path",
        "inode",
        "modified_nanos",
        "device",
        "changed_nanos",
        "is_text",
        "expires_at",
    ],
    key: 2,
    belongs: "EXISTS (SELECT 1 FROM space WHERE space.organization = new.organization AND space.id = new.space)",
};

const FOLDER_FILE: Table = Table {
    name: "folder_file",
    columns: &["organization", "folder", "file"],
    key: 3,
    belongs: "EXISTS (SELECT 1 FROM folder WHERE folder.organization = new.organization AND folder.id = new.folder) \
         AND EXISTS (SELECT 1 FROM file WHERE file.organization = new.organization AND file.id = new.file)",
};

const DENIED_LINK: Table = Table {
    name: "denied_link",
    columns: &["organization", "link", "expires"],
    key: 2,
    belongs: OF_ORGANIZATION,
};

const FILE_COUNT: Table = Table {
    name: "file_count",
    columns: &[
        "organization",
        "file",
        "downloads",
        "whole",
        "bytes_sent",
        "last_at",
    ],
    key: 2,
    belongs: OF_FILE,
};

const LINK_COUNT: Table = Table {
    name: "link_count",
    columns: &[
        "organization",
        "link",
        "expires",
        "downloads",
        "whole",
        "bytes_sent",
        "last_at",
    ],
    key: 2,
    belongs: OF_ORGANIZATION,
};

const IDEMPOTENCY_KEY: Table = Table {
    name: "idempotency_key",
    columns: &[
        "organization",
        "api_key",
        "key",
        "created_at",
        "owner",
        "held_until",
        "fingerprint",
        "outcome",
    ],
    key: 3,
    belongs: OF_ORGANIZATION,
};

impl Table {
    pub(super) const fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Organization => &ORGANIZATION,
            Kind::Space => &SPACE,
            Kind::ApiKey => &API_KEY,
            Kind::App => &APP,
            Kind::Folder => &FOLDER,
            Kind::FolderMember => &FOLDER_MEMBER,
            Kind::File => &FILE,
            Kind::FolderFile => &FOLDER_FILE,
            Kind::DeniedLink => &DENIED_LINK,
            Kind::FileCount => &FILE_COUNT,
            Kind::LinkCount => &LINK_COUNT,
            Kind::IdempotencyKey => &IDEMPOTENCY_KEY,
        }
    }

    fn keys(&self) -> &'static [&'static str] {
        self.columns.get(..self.key).unwrap_or_default()
    }

    /// The next rows after a key; every key comes after empty texts.
    pub(super) fn select(&self) -> String {
        let (keys, limit) = (self.keys().join(", "), self.key + 1);
        format!(
            "SELECT {columns} FROM {name} WHERE ({keys}) > ({places}) ORDER BY {keys} LIMIT ${limit}",
            columns = self.columns.join(", "),
            name = self.name,
            places = places(0, self.key),
        )
    }

    /// So many rows in the place of those that have their keys.
    pub(super) fn put(&self, rows: usize) -> String {
        let set: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        format!(
            "WITH new ({columns}) AS (VALUES {values}) INSERT INTO {name} ({columns}) \
             SELECT {columns} FROM new WHERE {belongs} ON CONFLICT ({keys}) DO UPDATE SET {set}",
            columns = self.columns.join(", "),
            values = tuples(rows, self.columns.len()),
            name = self.name,
            belongs = self.belongs,
            keys = self.keys().join(", "),
            set = set.join(", "),
        )
    }

    /// No rows of so many keys. Written out: a list of pairs SQLite would compare with every row.
    pub(super) fn remove(&self, rows: usize) -> String {
        let key = |row: usize| {
            let columns = self.keys().iter().enumerate();
            let same =
                columns.map(|(at, column)| format!("{column} = ${}", row * self.key + at + 1));
            format!("({})", same.collect::<Vec<_>>().join(" AND "))
        };
        let keys: Vec<String> = (0..rows).map(key).collect();
        format!("DELETE FROM {} WHERE {}", self.name, keys.join(" OR "))
    }
}

/// What so many files count for their organizations.
pub(super) fn file_sums(files: usize) -> String {
    format!(
        "WITH wanted (organization, id) AS (VALUES {values}) SELECT file.organization, \
         CAST(sum(CASE WHEN state = 'ready' THEN 1 ELSE 0 END) AS bigint) AS ready_files, \
         CAST(sum(CASE WHEN state <> 'swept' THEN 1 ELSE 0 END) AS bigint) AS kept_files, \
         CAST(sum(CASE WHEN state <> 'swept' THEN size ELSE 0 END) AS bigint) AS kept_bytes \
         FROM wanted JOIN file ON file.organization = wanted.organization AND file.id = wanted.id \
         GROUP BY file.organization",
        values = tuples(files, 2),
    )
}

/// Counts the difference for one organization.
pub(super) const COUNT_DIFFERENCE: &str = "UPDATE organization SET ready_files = ready_files + $1, \
     kept_files = kept_files + $2, kept_bytes = kept_bytes + $3 WHERE id = $4";

/// What each organization keeps.
pub(super) const KEPT: &str = "SELECT kept_files, kept_bytes FROM organization";

pub(super) const NOTE: &str =
    "SELECT installation.id, blobs, is_whole FROM copy_note, installation";
pub(super) const FORGET_NOTE: &str = "DELETE FROM copy_note WHERE is_whole = 1";
pub(super) const IS_NOTED: &str = "SELECT EXISTS (SELECT 1 FROM copy_note)";
pub(super) const IS_FREE: &str = "SELECT EXISTS (SELECT 1 FROM copy_note) \
     OR NOT EXISTS (SELECT 1 FROM organization)";
pub(super) const SET_NOTE: &str = "INSERT INTO copy_note (one, blobs, is_whole) VALUES (1, $1, $2) \
     ON CONFLICT (one) DO UPDATE SET blobs = excluded.blobs, is_whole = excluded.is_whole";
pub(super) const SET_INSTALLATION: &str = "UPDATE installation SET id = $1";

/// What is counted of organizations, of some of their files.
pub(super) type Sums = BTreeMap<String, [i64; 3]>;

/// One row of [`file_sums`].
pub(super) fn sums(row: &impl Columns) -> Result<(String, [i64; 3]), Fault> {
    let number = |column| rows::value(row, column, Some::<i64>);
    let sums = [
        number("ready_files")?,
        number("kept_files")?,
        number("kept_bytes")?,
    ];
    Ok((
        rows::organization_id(row, "organization")?.to_string(),
        sums,
    ))
}

/// What has to be added, by organization.
pub(super) fn differences(before: &Sums, after: &Sums) -> Vec<(String, [i64; 3])> {
    let owners: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let difference = |owner: &String| {
        let [was, is] = [before, after].map(|sums| sums.get(owner).copied().unwrap_or_default());
        let [a, b, c] = was;
        let [x, y, z] = is;
        (owner.clone(), [x - a, y - b, z - c])
    };
    let all = owners.into_iter().map(difference);
    all.filter(|(_, difference)| *difference != [0; 3])
        .collect()
}

/// So many places for values, after the first ones.
fn places(after: usize, count: usize) -> String {
    let places: Vec<String> = (after + 1..=after + count)
        .map(|place| format!("${place}"))
        .collect();
    places.join(", ")
}

/// So many rows of places.
fn tuples(rows: usize, columns: usize) -> String {
    let tuples: Vec<String> = (0..rows)
        .map(|row| format!("({})", places(row * columns, columns)))
        .collect();
    tuples.join(", ")
}
