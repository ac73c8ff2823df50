-- The last batch of sent bytes that each gateway added to counted downloads: one whose answer was lost is tried again,
-- and adds nothing then.

CREATE TABLE sent_mark (
    writer TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
