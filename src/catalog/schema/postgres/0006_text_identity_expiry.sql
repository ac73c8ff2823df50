-- What is known of a file's bytes, of a file in place, and until when a file is there; the filters of its
-- lists; and the idempotency keys of uploads.

ALTER TABLE file
    -- Whether all bytes are UTF-8 text, 0 or 1; nothing where nobody has read them yet.
    ADD COLUMN is_text       bigint CHECK (is_text IN (0, 1)),
    -- From this second on the file answers as deleted; nothing where it never does.
    ADD COLUMN expires_at    bigint,
    -- The rest of the identity of a file in place; nothing in rows from before.
    ADD COLUMN device        bigint,
    ADD COLUMN changed_nanos bigint;

-- What background tasks ask for.
CREATE INDEX file_text_unknown ON file (organization, id) WHERE state = 'ready' AND is_text IS NULL;
CREATE INDEX file_expiring ON file (expires_at, organization, id)
    WHERE state = 'ready' AND expires_at IS NOT NULL;

-- The lists of one name, and of what is in the recycle bin, in both orders.
CREATE INDEX file_of_name ON file (organization, name, state, created_at, id);
CREATE INDEX file_of_name_by_id ON file (organization, name, state, id);
CREATE INDEX file_in_bin ON file (organization, created_at, id) WHERE state = 'deleted';
CREATE INDEX file_in_bin_by_id ON file (organization, id) WHERE state = 'deleted';

CREATE TABLE idempotency_key (
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id),
    api_key      text   COLLATE "C" NOT NULL,
    key          text   COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    created_at   bigint NOT NULL,
    -- The request that has the key, and until when no other may take it over.
    owner        bytea  NOT NULL CHECK (length(owner) = 16),
    held_until   bigint NOT NULL,
    -- Once that request is done: a digest of what was asked, and what came of it.
    fingerprint  bytea  CHECK (length(fingerprint) = 32),
    outcome      text   CHECK ((outcome IS NULL) = (fingerprint IS NULL)),
    PRIMARY KEY (organization, api_key, key)
);

CREATE INDEX idempotency_key_oldest ON idempotency_key (created_at);
CREATE INDEX idempotency_key_newest ON idempotency_key (organization, created_at, api_key, key);
