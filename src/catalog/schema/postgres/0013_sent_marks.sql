-- The last batch of sent bytes that each gateway added to counted downloads: one whose answer was lost is tried again,
-- and adds nothing then.

CREATE TABLE sent_mark (
    writer text   COLLATE "C" NOT NULL PRIMARY KEY,
    number bigint NOT NULL,
    at     bigint NOT NULL
) WITH (fillfactor = 50);
