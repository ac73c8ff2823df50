-- Shares: some files behind a page for people, and what was counted of each.

CREATE TABLE share (
    organization  text   COLLATE "C" NOT NULL REFERENCES organization (id),
    id            text   COLLATE "C" NOT NULL,
    -- The signing key and the epoch that its code is derived from. Under any other it is refused.
    kid           text   COLLATE "C" NOT NULL,
    -- The SHA-256 of its code. The code itself is kept nowhere.
    code_digest   bytea  NOT NULL UNIQUE CHECK (length(code_digest) = 32),
    epoch         bigint NOT NULL CHECK (epoch >= 0),
    revision      bigint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    kind          text   COLLATE "C" NOT NULL CHECK (kind IN ('files', 'request')),
    title         text   COLLATE "C" NOT NULL,
    note          text   COLLATE "C" NOT NULL,
    next_position bigint NOT NULL,
    created_at    bigint NOT NULL,
    -- The API key; nothing of a command.
    created_by    text   COLLATE "C",
    expires       bigint,
    not_before    bigint,
    allowed       bigint CHECK (allowed > 0),
    -- A hash in the PHC string format.
    password      text   COLLATE "C",
    pass_revision bigint NOT NULL DEFAULT 0 CHECK (pass_revision >= 0),
    ip            text   COLLATE "C",
    state         text   COLLATE "C" NOT NULL CHECK (state IN ('active', 'paused', 'revoked')),
    revoked_at    bigint CHECK ((revoked_at IS NULL) = (state <> 'revoked')),
    options       text   COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, id)
);

-- Those that one API key made.
CREATE INDEX share_made_by ON share (organization, created_by, id);
-- What the sweeper asks for: those that have ended, by when they did.
CREATE INDEX share_ended ON share ((CASE WHEN revoked_at < expires THEN revoked_at ELSE coalesce(expires, revoked_at) END))
    WHERE expires IS NOT NULL OR revoked_at IS NOT NULL;

CREATE TABLE share_file (
    organization  text   COLLATE "C" NOT NULL,
    share         text   COLLATE "C" NOT NULL,
    path          text   COLLATE "C" NOT NULL,
    file          text   COLLATE "C" NOT NULL,
    -- The link revision of the file when it was put there.
    link_revision bigint NOT NULL CHECK (link_revision >= 0),
    position      bigint NOT NULL,
    PRIMARY KEY (organization, share, path),
    FOREIGN KEY (organization, share) REFERENCES share (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, file) REFERENCES file (organization, id) ON DELETE CASCADE
);

CREATE INDEX share_file_file ON share_file (organization, file);

CREATE TABLE share_count (
    organization    text   COLLATE "C" NOT NULL,
    share           text   COLLATE "C" NOT NULL,
    downloads       bigint NOT NULL DEFAULT 0,
    whole           bigint NOT NULL DEFAULT 0,
    bytes_sent      bigint NOT NULL DEFAULT 0,
    last_at         bigint,
    opened          bigint NOT NULL DEFAULT 0,
    first_opened_at bigint,
    -- How many passwords were wrong in the hour that began then.
    guesses_hour    bigint NOT NULL DEFAULT 0,
    guesses_at      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, share),
    FOREIGN KEY (organization, share) REFERENCES share (organization, id) ON DELETE CASCADE
);
