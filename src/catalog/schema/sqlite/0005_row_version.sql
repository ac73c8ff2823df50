-- One number for the rows that processes keep in memory, so that a process can tell whether what it
-- keeps may be old. Every transaction after which a file, an API key or an app that was there is
-- answered otherwise raises it; one that only adds does not.

CREATE TABLE row_version (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO row_version (one, version) VALUES (1, 0);
