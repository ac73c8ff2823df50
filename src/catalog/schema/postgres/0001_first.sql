-- The first schema of the PostgreSQL catalogue, for a database of its own.
--
-- Times are Unix seconds. Enumerations are the words of the model. Ids are compared byte by byte, as
-- everywhere else, whatever the database's own collation. Only `inode` uses the sign bit.

CREATE TABLE organization (
    id          text   COLLATE "C" NOT NULL PRIMARY KEY,
    name        text   NOT NULL,
    epoch       bigint NOT NULL CHECK (epoch >= 0),
    -- How many rows of `file` are ready; kept by every transaction that makes one more or one fewer.
    ready_files bigint NOT NULL DEFAULT 0 CHECK (ready_files >= 0),
    created_at  bigint NOT NULL
);

CREATE TABLE space (
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id),
    id           text   COLLATE "C" NOT NULL,
    name         text   NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE TABLE file (
    organization   text   COLLATE "C" NOT NULL,
    id             text   COLLATE "C" NOT NULL,
    space          text   COLLATE "C" NOT NULL,
    name           text   NOT NULL,
    media_type     text   NOT NULL,
    size           bigint NOT NULL CHECK (size >= 0),
    sha256         bytea  NOT NULL CHECK (length(sha256) = 32),
    purpose        text   COLLATE "C" NOT NULL,
    state          text   COLLATE "C" NOT NULL CHECK (state IN ('ready', 'deleted', 'swept')),
    deleted_at     bigint CHECK ((deleted_at IS NULL) = (state = 'ready')),
    -- A JSON object of texts. Not `jsonb`, which cannot hold every text.
    metadata       text   NOT NULL,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL,
    uploaded_by    text   COLLATE "C",
    -- Since when the bytes are known to be damaged. It is not served until they are found whole again.
    damaged_at     bigint,
    link_revision  bigint NOT NULL CHECK (link_revision >= 0),
    -- Either the key of a stored blob, or a file registered in place. Its path is bytes, since a Unix
    -- path need not be UTF-8.
    blob           text   COLLATE "C",
    path           bytea  CHECK ((path IS NULL) <> (blob IS NULL)),
    inode          bigint CHECK ((inode IS NULL) = (path IS NULL)),
    modified_nanos bigint CHECK ((modified_nanos IS NULL) = (path IS NULL)),
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, space) REFERENCES space (organization, id)
);

-- The lists, in their orders; they are read from either end.
CREATE INDEX file_ready ON file (organization, created_at, id) WHERE state = 'ready';
CREATE INDEX file_ready_of_purpose ON file (organization, purpose, created_at, id)
    WHERE state = 'ready';
CREATE INDEX file_ready_by_id ON file (organization, id) WHERE state = 'ready';
CREATE INDEX file_ready_of_purpose_by_id ON file (organization, purpose, id) WHERE state = 'ready';

-- What the sweepers ask for.
CREATE INDEX file_deleted ON file (deleted_at, organization, id) WHERE state = 'deleted';
CREATE INDEX file_swept ON file (deleted_at) WHERE state = 'swept';
CREATE INDEX file_blob ON file (blob) WHERE blob IS NOT NULL;

-- What every process loads at its start, and counts against the limit.
CREATE INDEX file_revised ON file (organization, id, link_revision) WHERE link_revision > 0;

CREATE TABLE folder (
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id),
    id           text   COLLATE "C" NOT NULL,
    name         text   NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE TABLE folder_member (
    organization text COLLATE "C" NOT NULL,
    folder       text COLLATE "C" NOT NULL,
    member       text COLLATE "C" NOT NULL REFERENCES organization (id),
    PRIMARY KEY (organization, folder, member),
    FOREIGN KEY (organization, folder) REFERENCES folder (organization, id)
);

-- What an organization asks for that names a folder without its owner.
CREATE INDEX folder_member_member ON folder_member (member, folder);

CREATE TABLE folder_file (
    organization text COLLATE "C" NOT NULL,
    folder       text COLLATE "C" NOT NULL,
    file         text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, folder, file),
    FOREIGN KEY (organization, folder) REFERENCES folder (organization, id),
    FOREIGN KEY (organization, file) REFERENCES file (organization, id) ON DELETE CASCADE
);

-- What forgetting a file asks for.
CREATE INDEX folder_file_file ON folder_file (organization, file);

CREATE TABLE api_key (
    id           text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id),
    name         text   NOT NULL,
    digest       bytea  NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- Words separated by single spaces.
    scopes       text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('active', 'paused', 'deactivated')),
    created_at   bigint NOT NULL,
    expires_at   bigint
);

CREATE INDEX api_key_organization ON api_key (organization, created_at, id);

-- Apps, which sign requests for an API key.
CREATE TABLE app (
    id         text   COLLATE "C" NOT NULL PRIMARY KEY,
    api_key    text   COLLATE "C" NOT NULL REFERENCES api_key (id),
    -- An HMAC key: signatures can be checked with nothing less than itself.
    secret     text   NOT NULL CHECK (length(secret) BETWEEN 1 AND 256),
    created_at bigint NOT NULL
);

CREATE INDEX app_api_key ON app (api_key);

CREATE TABLE denied_link (
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id),
    link         text   COLLATE "C" NOT NULL,
    expires      bigint NOT NULL,
    PRIMARY KEY (organization, link)
);

CREATE INDEX denied_link_expires ON denied_link (expires);

-- One number for all that was revoked, and one for the rows that processes keep in memory, so that a
-- process can tell whether what it holds may be old. Every transaction that changes an epoch, a link
-- revision or a denied link raises the first; every one after which a file, an API key or an app that was
-- there is answered otherwise raises the second. They fill no page, so that raising them stays cheap.
CREATE TABLE revocation_version (
    one     integer NOT NULL PRIMARY KEY CHECK (one = 1),
    version bigint  NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE row_version (
    one     integer NOT NULL PRIMARY KEY CHECK (one = 1),
    version bigint  NOT NULL
) WITH (fillfactor = 10);

INSERT INTO revocation_version (one, version) VALUES (1, 0);
INSERT INTO row_version (one, version) VALUES (1, 0);

-- What a change writes first, so that its gateway can find out whether it was committed where the answer
-- to `COMMIT` is lost: a number into a row that no other change uses meanwhile.
CREATE TABLE change_mark (
    slot   text   NOT NULL PRIMARY KEY,
    number bigint NOT NULL,
    at     bigint NOT NULL
) WITH (fillfactor = 50);
