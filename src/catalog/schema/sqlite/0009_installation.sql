-- By what a store of blobs tells whose bytes it keeps. Drawn once; a copy of a catalogue has it, too.

CREATE TABLE installation (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id  TEXT    NOT NULL CHECK (length(id) = 32)
) STRICT;

INSERT INTO installation (one, id) VALUES (1, lower(hex(randomblob(16))));
