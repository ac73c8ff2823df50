-- What is known of a file's bytes, of a file in place, and until when a file is there; the filters of its
-- lists; and the idempotency keys of uploads.

-- Whether all bytes are UTF-8 text, 0 or 1; nothing where nobody has read them yet.
ALTER TABLE file ADD COLUMN is_text INTEGER CHECK (is_text IN (0, 1));
-- From this second on the file answers as deleted; nothing where it never does.
ALTER TABLE file ADD COLUMN expires_at INTEGER;
-- The rest of the identity of a file in place; nothing in rows from before.
ALTER TABLE file ADD COLUMN device INTEGER;
ALTER TABLE file ADD COLUMN changed_nanos INTEGER;

-- What background tasks ask for.
CREATE INDEX file_text_unknown ON file (organization, id) WHERE state = 'ready' AND is_text IS NULL;
CREATE INDEX file_expiring ON file (expires_at, organization, id)
    WHERE state = 'ready' AND expires_at IS NOT NULL;

-- The lists of one name, and of what is in the recycle bin, in both orders.
CREATE INDEX file_of_name ON file (organization, name, state, created_at DESC, id DESC);
CREATE INDEX file_of_name_by_id ON file (organization, name, state, id);
CREATE INDEX file_in_bin ON file (organization, created_at DESC, id DESC) WHERE state = 'deleted';
CREATE INDEX file_in_bin_by_id ON file (organization, id) WHERE state = 'deleted';

CREATE TABLE idempotency_key (
    organization TEXT    NOT NULL REFERENCES organization (id),
    api_key      TEXT    NOT NULL,
    key          TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    created_at   INTEGER NOT NULL,
    -- The request that has the key, and until when no other may take it over.
    owner        BLOB    NOT NULL CHECK (length(owner) = 16),
    held_until   INTEGER NOT NULL,
    -- Once that request is done: a digest of what was asked, and what came of it.
    fingerprint  BLOB    CHECK (length(fingerprint) = 32),
    outcome      TEXT    CHECK ((outcome IS NULL) = (fingerprint IS NULL)),
    PRIMARY KEY (organization, api_key, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_key_oldest ON idempotency_key (created_at);
CREATE INDEX idempotency_key_newest ON idempotency_key (organization, created_at, api_key, key);
