-- Counted downloads: how many of its downloads a counted link has spent, and each that was started.

CREATE TABLE allowance (
    organization  text   COLLATE "C" NOT NULL REFERENCES organization (id),
    -- "l" and the SHA-256 of a counted link's MAC in hex, or "s" and the id of a share.
    subject       text   COLLATE "C" NOT NULL,
    -- What a link says of itself, by which its tickets are judged as it would be. A share has a row of its own for that.
    link_id       text   COLLATE "C",
    file          text   COLLATE "C",
    -- The signing key and the epoch of the key by which clients are known.
    kid           text   COLLATE "C" NOT NULL,
    epoch         bigint NOT NULL,
    link_revision bigint,
    claims        text   COLLATE "C",
    allowed       bigint,
    done          bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    open          bigint NOT NULL DEFAULT 0 CHECK (open >= 0),
    -- Bytes of lapsed downloads that have spent no download yet. Negative once one of them is open again.
    lapsed_bytes  bigint NOT NULL DEFAULT 0,
    bytes         bigint NOT NULL DEFAULT 0,
    expires       bigint,
    PRIMARY KEY (organization, subject)
);

CREATE INDEX allowance_link ON allowance (organization, link_id);
-- What the sweeper asks for.
CREATE INDEX allowance_expires ON allowance (expires) WHERE expires IS NOT NULL;

CREATE TABLE redemption (
    rid           text   COLLATE "C" PRIMARY KEY,
    organization  text   COLLATE "C" NOT NULL,
    subject       text   COLLATE "C" NOT NULL,
    -- Nothing where it is no single file.
    file          text   COLLATE "C",
    size          bigint NOT NULL CHECK (size >= 0),
    -- A keyed digest of the client that started it, never its address; nothing of an unknown client or a dead ticket.
    client        bytea  CHECK (length(client) = 16),
    opened_at     bigint NOT NULL,
    -- When it was opened, or bytes were sent last.
    last_at       bigint NOT NULL,
    bytes_sent    bigint NOT NULL DEFAULT 0 CHECK (bytes_sent >= 0),
    state         text   COLLATE "C" NOT NULL CHECK (state IN ('open', 'done', 'lapsed')),
    done_at       bigint CHECK ((done_at IS NULL) = (state <> 'done')),
    -- The signing key, and the end, of its ticket.
    kid           text   COLLATE "C" NOT NULL,
    expires       bigint NOT NULL,
    pass_revision bigint,
    first_at      bigint,
    -- A keyed digest of the network that started it, as for the client.
    starter       bytea  CHECK (length(starter) = 32),
    FOREIGN KEY (organization, subject) REFERENCES allowance (organization, subject) ON DELETE CASCADE
);

-- The open downloads of a subject, those without bytes for longest first.
CREATE INDEX redemption_open ON redemption (organization, subject, last_at) WHERE state = 'open';
CREATE INDEX redemption_client ON redemption (organization, subject, client);
-- What the sweeper asks for: tickets by their ends, and clients by when their tickets are dead.
CREATE INDEX redemption_expires ON redemption (expires);
CREATE INDEX redemption_known ON redemption ((CASE WHEN done_at + 600 < expires THEN done_at + 600 ELSE expires END))
    WHERE client IS NOT NULL OR starter IS NOT NULL;
