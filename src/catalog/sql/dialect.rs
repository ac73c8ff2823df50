//! The pieces of statements that have names, most because the two dialects write them differently: lists, locks
//! of rows, and one comparison of times.

/// The text of a statement in both dialects.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct SqlText {
    /// For SQLite.
    pub(in crate::catalog) sqlite: &'static str,
    /// For PostgreSQL.
    pub(in crate::catalog) postgres: &'static str,
}

impl From<&'static str> for SqlText {
    fn from(both: &'static str) -> Self {
        Self {
            sqlite: both,
            postgres: both,
        }
    }
}

/// Joins pieces to a [`SqlText`]. One in brackets is written otherwise by each dialect.
macro_rules! text {
    ($($piece:tt),+ $(,)?) => {
        $crate::catalog::sql::dialect::SqlText {
            sqlite: concat!($($crate::catalog::sql::dialect::piece!(sqlite $piece)),+),
            postgres: concat!($($crate::catalog::sql::dialect::piece!(postgres $piece)),+),
        }
    };
}
pub(super) use text;

/// One piece of a [`text!`]:
///
/// - a literal;
/// - `[files]`, a `SELECT` of whole files without conditions;
/// - `[shares]`, one of whole shares;
/// - `[counted shares ""]`, the last columns and the tables of a `SELECT` of shares and what was counted of them, with
///   what follows the name of their own table;
/// - `[in "$1"]`, membership of a list of texts that is one value;
/// - `[hex "column"]`, bytes in hex digits of either case;
/// - `[records "$1" name type, …]`, a table `new` from an array of objects in JSON that is one value;
/// - `[counts "$1"]`, such a table of counts; `[share_counts "$1"]`, one of counts of shares;
/// - `[sum "table" "column"]`, the sum of a column and what is added to it: a number that would be too large
///   stays at the largest;
/// - `[later "table" "column"]`, the later of a column's time and another one;
/// - `[lock "…"]`, the clause that locks rows: SQLite has locked everything already;
/// - `[unexpired "$1"]`, whether a file has not expired, so that either planner stays with the index of a list:
///   SQLite's takes an `OR` for a reason to leave it, PostgreSQL's a `coalesce` for few rows;
/// - `[expired "$1" "$2"]`, whether a file of this organization has expired, so that either planner finds those by the
///   organization: PostgreSQL's would go through those of all.
macro_rules! piece {
    ($dialect:ident $literal:literal) => {
        $literal
    };
    (sqlite [hex $column:literal]) => {
        concat!("hex(", $column, ")")
    };
    (postgres [hex $column:literal]) => {
        concat!("encode(", $column, ", 'hex')")
    };
    (sqlite [in $list:literal]) => {
        concat!("IN (SELECT value FROM json_each(", $list, "))")
    };
    (postgres [in $list:literal]) => {
        concat!("= ANY(", $list, ")")
    };
    (sqlite [records $array:literal $first:ident $type:ident $(, $column:ident $types:ident)*]) => {
        concat!(
            "(SELECT value ->> '", stringify!($first), "' AS ", stringify!($first),
            $(", value ->> '", stringify!($column), "' AS ", stringify!($column),)*
            " FROM jsonb_each(", $array, ")) AS new"
        )
    };
    (postgres [records $array:literal $first:ident $type:ident $(, $column:ident $types:ident)*]) => {
        concat!(
            "json_to_recordset(CAST(", $array, " AS json)) AS new (",
            stringify!($first), " ", $crate::catalog::sql::dialect::piece!(postgres [record $type]),
            $(", ", stringify!($column), " ", $crate::catalog::sql::dialect::piece!(postgres [record $types]),)* ")"
        )
    };
    // Texts are keys, in the order in which the tables have them.
    (postgres [record text]) => {
        "text COLLATE \"C\""
    };
    (postgres [record bigint]) => {
        "bigint"
    };
    ($dialect:ident [counts $array:literal]) => {
        $crate::catalog::sql::dialect::piece!($dialect [records $array organization text, id text, expires bigint,
            downloads bigint, whole bigint, bytes_sent bigint, last_at bigint])
    };
    ($dialect:ident [share_counts $array:literal]) => {
        $crate::catalog::sql::dialect::piece!($dialect [records $array organization text, share text,
            downloads bigint, whole bigint, bytes_sent bigint, last_at bigint, opened bigint,
            first_opened_at bigint])
    };
    ($dialect:ident [sum $table:literal $column:literal]) => {
        concat!(
            $column, " = CASE WHEN ", $table, ".", $column, " > 9223372036854775807 - excluded.", $column,
            " THEN 9223372036854775807 ELSE ", $table, ".", $column, " + excluded.", $column, " END"
        )
    };
    ($dialect:ident [later $table:literal $column:literal]) => {
        concat!(
            $column, " = CASE WHEN excluded.", $column, " IS NULL OR ", $table, ".", $column,
            " > excluded.", $column, " THEN ", $table, ".", $column, " ELSE excluded.", $column, " END"
        )
    };
    (sqlite [lock $lock:literal]) => {
        ""
    };
    (postgres [lock $lock:literal]) => {
        concat!(" FOR ", $lock)
    };
    (sqlite [unexpired $now:literal]) => {
        concat!("coalesce(expires_at, 99999999999) > ", $now)
    };
    (postgres [unexpired $now:literal]) => {
        concat!("(expires_at IS NULL OR expires_at > ", $now, ")")
    };
    (sqlite [expired $organization:literal $now:literal]) => {
        concat!("organization = ", $organization, " AND expires_at <= ", $now)
    };
    (postgres [expired $organization:literal $now:literal]) => {
        concat!(
            "organization = ", $organization, " AND expires_at IS NOT NULL \
             AND (organization, expires_at) <= (", $organization, ", ", $now, ")"
        )
    };
    ($dialect:ident [files]) => {
        $crate::catalog::sql::dialect::files!()
    };
    ($dialect:ident [shares]) => {
        concat!("SELECT ", $crate::catalog::sql::dialect::share_columns!(), " FROM share ")
    };
    ($dialect:ident [counted shares $index:literal]) => {
        concat!(
            "coalesce(downloads, 0) AS downloads, coalesce(whole, 0) AS whole, \
             coalesce(bytes_sent, 0) AS bytes_sent, last_at, coalesce(opened, 0) AS opened, first_opened_at, \
             coalesce(done, 0) AS done, coalesce(open, 0) AS open FROM share ", $index,
            " LEFT JOIN (SELECT organization AS counted_of, share AS counted, downloads, whole, bytes_sent, \
             last_at, opened, first_opened_at FROM share_count) AS of_share \
             ON counted_of = share.organization AND counted = share.id \
             LEFT JOIN (SELECT organization AS allowed_of, subject, done, open FROM allowance) AS of_subject \
             ON allowed_of = share.organization AND subject = 's' || share.id "
        )
    };
}
pub(super) use piece;

/// A `SELECT` of whole files, with what follows the table's name.
macro_rules! files {
    ($($rest:literal),*) => {
        concat!(
            "SELECT ", $crate::catalog::sql::dialect::file_values!(), " FROM file ", $($rest),*
        )
    };
}
pub(super) use files;

/// The columns of a whole file, as they are written.
macro_rules! file_columns {
    () => {
        $crate::catalog::sql::dialect::file_columns!("link_revision")
    };
    ($link_revision:literal) => {
        concat!(
            "organization, id, space, name, media_type, size, sha256, purpose, state, deleted_at, metadata, \
             created_at, updated_at, uploaded_by, damaged_at, ", $link_revision, ", blob, path, inode, \
             modified_nanos, device, changed_nanos, is_text, expires_at, crc32"
        )
    };
}
pub(super) use file_columns;

/// The columns of a whole file, as they are read: a link revision of an earlier epoch is 0.
macro_rules! file_values {
    () => {
        $crate::catalog::sql::dialect::file_columns!(
            "CASE WHEN link_revision > 0 AND link_epoch <> (SELECT epoch FROM organization \
             WHERE organization.id = file.organization) THEN 0 ELSE link_revision END AS link_revision"
        )
    };
}
pub(super) use file_values;

/// The columns of a whole share.
macro_rules! share_columns {
    () => {
        "organization, id, kid, code_digest, epoch, revision, kind, title, note, next_position, created_at, \
         created_by, expires, not_before, allowed, password, pass_revision, ip, state, revoked_at, options"
    };
}
pub(super) use share_columns;
