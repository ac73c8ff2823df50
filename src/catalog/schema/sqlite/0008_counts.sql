-- How often files and links were downloaded. Tables of their own, so that counting writes no row that
-- anybody keeps in memory. Every number stays at the largest that fits.

CREATE TABLE file_count (
    organization TEXT    NOT NULL,
    file         TEXT    NOT NULL,
    downloads    INTEGER NOT NULL,
    whole        INTEGER NOT NULL,
    bytes_sent   INTEGER NOT NULL,
    last_at      INTEGER,
    PRIMARY KEY (organization, file),
    FOREIGN KEY (organization, file) REFERENCES file (organization, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE link_count (
    organization TEXT    NOT NULL REFERENCES organization (id),
    link         TEXT    NOT NULL,
    expires      INTEGER NOT NULL,
    downloads    INTEGER NOT NULL,
    whole        INTEGER NOT NULL,
    bytes_sent   INTEGER NOT NULL,
    last_at      INTEGER,
    PRIMARY KEY (organization, link)
) STRICT, WITHOUT ROWID;

-- What the sweeper asks for.
CREATE INDEX link_count_expires ON link_count (expires);
