-- One row as long as this catalogue is a copy that `hallpass migrate` makes and that nobody uses yet.

CREATE TABLE copy_note (
    one      integer NOT NULL PRIMARY KEY CHECK (one = 1),
    -- Where the bytes are copied to; empty where they stay.
    blobs    text    NOT NULL,
    is_whole bigint  NOT NULL CHECK (is_whole IN (0, 1))
);
