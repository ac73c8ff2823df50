-- By what a store of blobs tells whose bytes it keeps. Drawn once; a copy of a catalogue has it, too.

CREATE TABLE installation (
    one integer NOT NULL PRIMARY KEY CHECK (one = 1),
    id  text    COLLATE "C" NOT NULL CHECK (length(id) = 32)
);

INSERT INTO installation (one, id) VALUES (1, replace(gen_random_uuid()::text, '-', ''));
