//! The tables, and the statements that read and write whole rows of them.

use super::dialect::{file_columns, file_values, share_columns};
use crate::catalog::transfer::Kind;

/// The table of a kind.
pub(in crate::catalog) struct Table {
    pub(in crate::catalog) name: &'static str,
    /// All columns as a statement lists them, those of the key first.
    columns: &'static str,
    /// The values that are read for them.
    values: &'static str,
    /// The condition of rows that are read, as the end of a `WHERE`.
    condition: &'static str,
    /// The column that says of which epoch of its organization a row is. A row that is written is of the one in force.
    epoch: Option<&'static str>,
    /// The number of the key's columns.
    pub(super) key: usize,
    /// The conditions that a row `new` belongs to something that is there.
    belongs: &'static [&'static str],
}

const OF_ORGANIZATION: &str =
    "EXISTS (SELECT 1 FROM organization WHERE organization.id = new.organization)";
const OF_FILE: &str =
    "EXISTS (SELECT 1 FROM file WHERE file.organization = new.organization AND file.id = new.file)";

const OF_ALLOWANCE: &str = "EXISTS (SELECT 1 FROM allowance \
     WHERE allowance.organization = new.organization AND allowance.subject = new.subject)";

const OF_SHARE: &str = "EXISTS (SELECT 1 FROM share \
     WHERE share.organization = new.organization AND share.id = new.share)";

const OF_FOLDER: &str = "EXISTS (SELECT 1 FROM folder \
     WHERE folder.organization = new.organization AND folder.id = new.folder)";

const OF_EPOCH: &str = " AND denied_link.epoch = (SELECT organization.epoch FROM organization \
     WHERE organization.id = denied_link.organization)";

const OF_MEMBER: &str = "EXISTS (SELECT 1 FROM organization WHERE organization.id = new.member)";
const OF_API_KEY: &str = "EXISTS (SELECT 1 FROM api_key WHERE api_key.id = new.api_key)";
const OF_SPACE: &str = "EXISTS (SELECT 1 FROM space \
     WHERE space.organization = new.organization AND space.id = new.space)";

impl Table {
    /// Returns the table of a kind.
    pub(in crate::catalog) const fn of(kind: Kind) -> Self {
        let (name, columns) = match kind {
            Kind::Organization => ("organization", "id, name, epoch, created_at"),
            Kind::Space => ("space", "organization, id, name, created_at"),
            Kind::ApiKey => (
                "api_key",
                "id, organization, name, digest, scopes, state, created_at, expires_at",
            ),
            Kind::App => ("app", "id, api_key, secret, created_at"),
            Kind::Folder => ("folder", "organization, id, name, created_at"),
            Kind::FolderMember => ("folder_member", "organization, folder, member"),
            Kind::File => ("file", file_columns!()),
            Kind::FolderFile => ("folder_file", "organization, folder, file"),
            Kind::DeniedLink => ("denied_link", "organization, link, expires, id_alone"),
            Kind::FileCount => (
                "file_count",
                "organization, file, downloads, whole, bytes_sent, last_at",
            ),
            Kind::LinkCount => (
                "link_count",
                "organization, link, expires, downloads, whole, bytes_sent, last_at",
            ),
            Kind::IdempotencyKey => (
                "idempotency_key",
                "organization, api_key, key, created_at, owner, held_until, fingerprint, outcome",
            ),
            Kind::Share => ("share", share_columns!()),
            Kind::ShareFile => (
                "share_file",
                "organization, share, path, file, link_revision, position",
            ),
            Kind::ShareCount => (
                "share_count",
                "organization, share, downloads, whole, bytes_sent, last_at, opened, first_opened_at, \
                 guesses_hour, guesses_at",
            ),
            Kind::Allowance => (
                "allowance",
                "organization, subject, link_id, file, kid, epoch, link_revision, claims, allowed, done, open, \
                 lapsed_bytes, bytes, expires",
            ),
            Kind::Redemption => (
                "redemption",
                "rid, organization, subject, file, size, client, opened_at, last_at, bytes_sent, state, done_at, \
                 kid, expires, pass_revision, first_at, starter",
            ),
        };
        let (values, condition, epoch) = match kind {
            Kind::File => (file_values!(), "", Some("link_epoch")),
            Kind::DeniedLink => (columns, OF_EPOCH, Some("epoch")),
            _ => (columns, "", None),
        };
        let (key, belongs) = Self::key_of(kind);
        Self {
            name,
            columns,
            values,
            condition,
            epoch,
            key,
            belongs,
        }
    }

    /// Returns the number of the key's columns, and the conditions that a row belongs to something that is there.
    const fn key_of(kind: Kind) -> (usize, &'static [&'static str]) {
        match kind {
            Kind::Organization => (1, &[]),
            Kind::ApiKey => (1, &[OF_ORGANIZATION]),
            Kind::Redemption => (1, &[OF_ALLOWANCE]),
            Kind::App => (1, &[OF_API_KEY]),
            Kind::Space
            | Kind::Folder
            | Kind::DeniedLink
            | Kind::LinkCount
            | Kind::Share
            | Kind::Allowance => (2, &[OF_ORGANIZATION]),
            Kind::ShareFile => (3, &[OF_SHARE, OF_FILE]),
            Kind::ShareCount => (2, &[OF_SHARE]),
            Kind::File => (2, &[OF_SPACE]),
            Kind::FileCount => (2, &[OF_FILE]),
            Kind::FolderMember => (3, &[OF_FOLDER, OF_MEMBER]),
            Kind::FolderFile => (3, &[OF_FOLDER, OF_FILE]),
            Kind::IdempotencyKey => (3, &[OF_ORGANIZATION]),
        }
    }

    /// Returns all columns, those of the key first.
    pub(in crate::catalog) fn columns(&self) -> Vec<&'static str> {
        self.columns.split(", ").collect()
    }

    fn keys(&self) -> String {
        self.key_columns().collect::<Vec<_>>().join(", ")
    }

    fn key_columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split(", ").take(self.key)
    }

    /// Reads the next rows after a key; every key comes after empty texts.
    pub(in crate::catalog) fn select(&self) -> String {
        let (keys, limit) = (self.keys(), self.key + 1);
        format!(
            "SELECT {values} FROM {name} WHERE ({keys}) > ({places}){condition} ORDER BY {keys} LIMIT ${limit}",
            values = self.values,
            name = self.name,
            condition = self.condition,
            places = places(0, self.key),
        )
    }

    /// Inserts so many rows, but for those whose keys are taken.
    pub(super) fn insert(&self, rows: usize) -> String {
        format!(
            "INSERT INTO {name} ({columns}) VALUES {values} ON CONFLICT ({keys}) DO NOTHING",
            name = self.name,
            columns = self.columns,
            values = tuples(rows, self.columns().len()),
            keys = self.keys(),
        )
    }

    /// Inserts a row for each one that `source` has, of the values behind the first `after`.
    pub(super) fn insert_for_each_of(&self, source: &str, after: usize) -> String {
        format!(
            "INSERT INTO {name} ({columns}) SELECT {places} FROM {source}",
            name = self.name,
            columns = self.columns,
            places = places(after, self.columns().len()),
        )
    }

    /// Puts so many rows that belong to something, in the place of those that have their keys. In the order of the
    /// keys, so that two that write the same ones wait in no circle.
    pub(super) fn put(&self, rows: usize) -> String {
        let set = |column| format!("{column} = excluded.{column}");
        let columns = self.columns.split(", ").chain(self.epoch);
        let set: Vec<String> = columns.map(set).collect();
        let in_force = "(SELECT organization.epoch FROM organization WHERE organization.id = new.organization)";
        let (and_epoch, and_in_force) = match self.epoch {
            Some(column) => (format!(", {column}"), format!(", {in_force}")),
            None => (String::new(), String::new()),
        };
        format!(
            "WITH new ({columns}) AS (VALUES {values}) INSERT INTO {name} ({columns}{and_epoch}) \
             SELECT {columns}{and_in_force} FROM new WHERE {belongs} ORDER BY {keys} \
             ON CONFLICT ({keys}) DO UPDATE SET {set}",
            columns = self.columns,
            values = tuples(rows, self.columns().len()),
            name = self.name,
            belongs = [&["true"], self.belongs].concat().join(" AND "),
            keys = self.keys(),
            set = set.join(", "),
        )
    }

    /// Removes the rows of so many keys. Each key is written out: a list of pairs SQLite would compare with
    /// every row.
    pub(super) fn remove(&self, rows: usize) -> String {
        let key = |row: usize| {
            let columns = self.key_columns().enumerate();
            let same =
                columns.map(|(at, column)| format!("{column} = ${}", row * self.key + at + 1));
            format!("({})", same.collect::<Vec<_>>().join(" AND "))
        };
        let keys: Vec<String> = (0..rows).map(key).collect();
        format!("DELETE FROM {} WHERE {}", self.name, keys.join(" OR "))
    }
}

/// Sums what so many files count for their organizations.
pub(super) fn file_sums(files: usize) -> String {
    format!(
        "WITH wanted (organization, id) AS (VALUES {values}) SELECT file.organization, \
         CAST(sum(CASE WHEN state = 'ready' THEN 1 ELSE 0 END) AS bigint) AS ready_files, \
         CAST(sum(CASE WHEN state <> 'swept' THEN 1 ELSE 0 END) AS bigint) AS kept_files, \
         CAST(sum(CASE WHEN state <> 'swept' THEN size ELSE 0 END) AS bigint) AS kept_bytes, \
         CAST(sum(CASE WHEN link_revision > 0 AND link_epoch = epoch THEN 1 ELSE 0 END) AS bigint) \
         AS revised_files \
         FROM wanted JOIN file ON file.organization = wanted.organization AND file.id = wanted.id \
         JOIN organization ON organization.id = file.organization GROUP BY file.organization",
        values = tuples(files, 2),
    )
}

/// Sums what so many denied links count for their organizations.
pub(super) fn denied_sums(links: usize) -> String {
    format!(
        "WITH wanted (organization, link) AS (VALUES {values}) SELECT denied_link.organization, \
         CAST(sum(1 - id_alone) AS bigint) AS denied_links, CAST(sum(id_alone) AS bigint) AS denied_ids \
         FROM wanted JOIN denied_link \
         ON denied_link.organization = wanted.organization AND denied_link.link = wanted.link \
         JOIN organization ON organization.id = denied_link.organization AND organization.epoch = denied_link.epoch \
         GROUP BY denied_link.organization",
        values = tuples(links, 2),
    )
}

/// Adds so many changes to the feed, behind the newest one; answers with their numbers, or the last one's.
pub(super) fn append_changes(changes: usize, is_postgres: bool) -> String {
    let row = |place: usize| format!("({}, {})", place + 1, places(place * 4, 4));
    let new: Vec<String> = (0..changes).map(row).collect();
    let new = new.join(", ");
    let columns = "version, stamp, kind, organization, item, number";
    if !is_postgres {
        return format!(
            "INSERT INTO change ({columns}) SELECT (SELECT max(version) FROM change) + column1, random(), \
             column2, column3, column4, column5 FROM (VALUES {new}) RETURNING version"
        );
    }
    format!(
        "WITH head AS (UPDATE change_head SET version = version + {changes} \
         RETURNING version - {changes} AS before), \
         new (place, kind, organization, item, number) AS (VALUES {new}), \
         added AS (INSERT INTO change ({columns}) SELECT before + place, \
         ('x' || replace(gen_random_uuid()::text, '-', ''))::bit(64)::bigint, \
         kind, organization, item, number FROM head, new) \
         SELECT before + {changes} AS version, pg_notify('hallpass', '') FROM head"
    )
}

/// Returns so many placeholders, after the first ones.
fn places(after: usize, count: usize) -> String {
    let places: Vec<String> = (after + 1..=after + count)
        .map(|place| format!("${place}"))
        .collect();
    places.join(", ")
}

/// Returns so many rows of placeholders.
fn tuples(rows: usize, columns: usize) -> String {
    let tuples: Vec<String> = (0..rows)
        .map(|row| format!("({})", places(row * columns, columns)))
        .collect();
    tuples.join(", ")
}
