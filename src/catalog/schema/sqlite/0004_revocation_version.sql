-- One number for all that was revoked, so that a process that holds it in memory can tell whether to
-- read it again without looking at the rest. Every transaction that changes an epoch, a link revision
-- or a denied link raises it.

CREATE TABLE revocation_version (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO revocation_version (one, version) VALUES (1, 0);
