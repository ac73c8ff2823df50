-- How often files and links were downloaded. Tables of their own, so that counting writes no row that
-- anybody keeps in memory. Every number stays at the largest that fits.

CREATE TABLE file_count (
    organization text   COLLATE "C" NOT NULL,
    file         text   COLLATE "C" NOT NULL,
    downloads    bigint NOT NULL,
    whole        bigint NOT NULL,
    bytes_sent   bigint NOT NULL,
    last_at      bigint,
    PRIMARY KEY (organization, file),
    FOREIGN KEY (organization, file) REFERENCES file (organization, id) ON DELETE CASCADE
);

CREATE TABLE link_count (
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id),
    link         text   COLLATE "C" NOT NULL,
    expires      bigint NOT NULL,
    downloads    bigint NOT NULL,
    whole        bigint NOT NULL,
    bytes_sent   bigint NOT NULL,
    last_at      bigint,
    PRIMARY KEY (organization, link)
);

-- What the sweeper asks for.
CREATE INDEX link_count_expires ON link_count (expires);
