-- Counted downloads: how many of its downloads a counted link has spent, and each that was started.

CREATE TABLE allowance (
    organization  TEXT    NOT NULL REFERENCES organization (id),
    -- "l" and the SHA-256 of a counted link's MAC in hex, or "s" and the id of a share.
    subject       TEXT    NOT NULL,
    -- What a link says of itself, by which its tickets are judged as it would be. A share has a row of its own for that.
    link_id       TEXT,
    file          TEXT,
    -- The signing key and the epoch of the key by which clients are known.
    kid           TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    link_revision INTEGER,
    claims        TEXT,
    allowed       INTEGER,
    done          INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    open          INTEGER NOT NULL DEFAULT 0 CHECK (open >= 0),
    -- Bytes of lapsed downloads that have spent no download yet. Negative once one of them is open again.
    lapsed_bytes  INTEGER NOT NULL DEFAULT 0,
    bytes         INTEGER NOT NULL DEFAULT 0,
    expires       INTEGER,
    PRIMARY KEY (organization, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX allowance_link ON allowance (organization, link_id);
-- What the sweeper asks for.
CREATE INDEX allowance_expires ON allowance (expires) WHERE expires IS NOT NULL;

CREATE TABLE redemption (
    rid           TEXT    NOT NULL PRIMARY KEY,
    organization  TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    -- Nothing where it is no single file.
    file          TEXT,
    size          INTEGER NOT NULL CHECK (size >= 0),
    -- A keyed digest of the client that started it, never its address; nothing of an unknown client or a dead ticket.
    client        BLOB    CHECK (length(client) = 16),
    opened_at     INTEGER NOT NULL,
    -- When it was opened, or bytes were sent last.
    last_at       INTEGER NOT NULL,
    bytes_sent    INTEGER NOT NULL DEFAULT 0 CHECK (bytes_sent >= 0),
    state         TEXT    NOT NULL CHECK (state IN ('open', 'done', 'lapsed')),
    done_at       INTEGER CHECK ((done_at IS NULL) = (state <> 'done')),
    -- The signing key, and the end, of its ticket.
    kid           TEXT    NOT NULL,
    expires       INTEGER NOT NULL,
    pass_revision INTEGER,
    first_at      INTEGER,
    -- A keyed digest of the network that started it, as for the client.
    starter       BLOB    CHECK (length(starter) = 32),
    FOREIGN KEY (organization, subject) REFERENCES allowance (organization, subject) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The open downloads of a subject, those without bytes for longest first.
CREATE INDEX redemption_open ON redemption (organization, subject, last_at) WHERE state = 'open';
CREATE INDEX redemption_client ON redemption (organization, subject, client);
-- What the sweeper asks for: tickets by their ends, and clients by when their tickets are dead.
CREATE INDEX redemption_expires ON redemption (expires);
CREATE INDEX redemption_known ON redemption (CASE WHEN done_at + 600 < expires THEN done_at + 600 ELSE expires END)
    WHERE client IS NOT NULL OR starter IS NOT NULL;
