-- The first schema of the SQLite catalogue.
--
-- Times are Unix seconds. Enumerations are the words of the model. `INTEGER` is signed and 64 bits wide;
-- only `inode` uses the sign bit.

CREATE TABLE organization (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    epoch       INTEGER NOT NULL CHECK (epoch >= 0),
    -- How many rows of `file` are ready; kept by every transaction that makes one more or one fewer.
    ready_files INTEGER NOT NULL DEFAULT 0 CHECK (ready_files >= 0),
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE space (
    organization TEXT    NOT NULL REFERENCES organization (id),
    id           TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE file (
    organization   TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    space          TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    media_type     TEXT    NOT NULL,
    size           INTEGER NOT NULL CHECK (size >= 0),
    sha256         BLOB    NOT NULL CHECK (length(sha256) = 32),
    purpose        TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('ready', 'deleted', 'swept')),
    deleted_at     INTEGER CHECK ((deleted_at IS NULL) = (state = 'ready')),
    -- A JSON object of texts.
    metadata       TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    uploaded_by    TEXT,
    link_revision  INTEGER NOT NULL CHECK (link_revision >= 0),
    -- Either the key of a stored blob, or a file registered in place. Its path is bytes, since a Unix
    -- path need not be UTF-8.
    blob           TEXT,
    path           BLOB    CHECK ((path IS NULL) <> (blob IS NULL)),
    inode          INTEGER CHECK ((inode IS NULL) = (path IS NULL)),
    modified_nanos INTEGER CHECK ((modified_nanos IS NULL) = (path IS NULL)),
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, space) REFERENCES space (organization, id)
) STRICT;

-- The two lists, in their order.
CREATE INDEX file_ready ON file (organization, created_at DESC, id DESC) WHERE state = 'ready';
CREATE INDEX file_ready_of_purpose ON file (organization, purpose, created_at DESC, id DESC)
    WHERE state = 'ready';

-- What the sweepers ask for.
CREATE INDEX file_deleted ON file (deleted_at, organization, id) WHERE state = 'deleted';
CREATE INDEX file_swept ON file (deleted_at) WHERE state = 'swept';
CREATE INDEX file_blob ON file (blob) WHERE blob IS NOT NULL;

-- What every process loads at its start, and counts against the limit.
CREATE INDEX file_revised ON file (organization, id, link_revision) WHERE link_revision > 0;

CREATE TABLE folder (
    organization TEXT    NOT NULL REFERENCES organization (id),
    id           TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE folder_member (
    organization TEXT NOT NULL,
    folder       TEXT NOT NULL,
    member       TEXT NOT NULL REFERENCES organization (id),
    PRIMARY KEY (organization, folder, member),
    FOREIGN KEY (organization, folder) REFERENCES folder (organization, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE folder_file (
    organization TEXT NOT NULL,
    folder       TEXT NOT NULL,
    file         TEXT NOT NULL,
    PRIMARY KEY (organization, folder, file),
    FOREIGN KEY (organization, folder) REFERENCES folder (organization, id),
    FOREIGN KEY (organization, file) REFERENCES file (organization, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What forgetting a file asks for.
CREATE INDEX folder_file_file ON folder_file (organization, file);

CREATE TABLE api_key (
    id           TEXT    NOT NULL PRIMARY KEY,
    organization TEXT    NOT NULL REFERENCES organization (id),
    name         TEXT    NOT NULL,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- Words separated by single spaces.
    scopes       TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('active', 'paused', 'deactivated')),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_organization ON api_key (organization, created_at, id);

CREATE TABLE denied_link (
    organization TEXT    NOT NULL REFERENCES organization (id),
    link         TEXT    NOT NULL,
    expires      INTEGER NOT NULL,
    PRIMARY KEY (organization, link)
) STRICT, WITHOUT ROWID;

CREATE INDEX denied_link_expires ON denied_link (expires);
