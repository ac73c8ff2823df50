-- Shares: some files behind a page for people, and what was counted of each.

CREATE TABLE share (
    organization  TEXT    NOT NULL REFERENCES organization (id),
    id            TEXT    NOT NULL,
    -- The signing key and the epoch that its code is derived from. Under any other it is refused.
    kid           TEXT    NOT NULL,
    -- The SHA-256 of its code. The code itself is kept nowhere.
    code_digest   BLOB    NOT NULL UNIQUE CHECK (length(code_digest) = 32),
    epoch         INTEGER NOT NULL CHECK (epoch >= 0),
    revision      INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0),
    kind          TEXT    NOT NULL CHECK (kind IN ('files', 'request')),
    title         TEXT    NOT NULL,
    note          TEXT    NOT NULL,
    next_position INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    -- The API key; nothing of a command.
    created_by    TEXT,
    expires       INTEGER,
    not_before    INTEGER,
    allowed       INTEGER CHECK (allowed > 0),
    -- A hash in the PHC string format.
    password      TEXT,
    pass_revision INTEGER NOT NULL DEFAULT 0 CHECK (pass_revision >= 0),
    ip            TEXT,
    state         TEXT    NOT NULL CHECK (state IN ('active', 'paused', 'revoked')),
    revoked_at    INTEGER CHECK ((revoked_at IS NULL) = (state <> 'revoked')),
    options       TEXT    NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT, WITHOUT ROWID;

-- Those that one API key made.
CREATE INDEX share_made_by ON share (organization, created_by, id);
-- What the sweeper asks for: those that have ended, by when they did.
CREATE INDEX share_ended ON share (CASE WHEN revoked_at < expires THEN revoked_at ELSE coalesce(expires, revoked_at) END)
    WHERE expires IS NOT NULL OR revoked_at IS NOT NULL;

CREATE TABLE share_file (
    organization  TEXT    NOT NULL,
    share         TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    file          TEXT    NOT NULL,
    -- The link revision of the file when it was put there.
    link_revision INTEGER NOT NULL CHECK (link_revision >= 0),
    position      INTEGER NOT NULL,
    PRIMARY KEY (organization, share, path),
    FOREIGN KEY (organization, share) REFERENCES share (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, file) REFERENCES file (organization, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX share_file_file ON share_file (organization, file);

CREATE TABLE share_count (
    organization    TEXT    NOT NULL,
    share           TEXT    NOT NULL,
    downloads       INTEGER NOT NULL DEFAULT 0,
    whole           INTEGER NOT NULL DEFAULT 0,
    bytes_sent      INTEGER NOT NULL DEFAULT 0,
    last_at         INTEGER,
    opened          INTEGER NOT NULL DEFAULT 0,
    first_opened_at INTEGER,
    -- How many passwords were wrong in the hour that began then.
    guesses_hour    INTEGER NOT NULL DEFAULT 0,
    guesses_at      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, share),
    FOREIGN KEY (organization, share) REFERENCES share (organization, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
