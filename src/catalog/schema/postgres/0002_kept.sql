-- How many files an organization keeps, and how many bytes they have: what is ready or deleted, and not
-- yet swept. Kept by every transaction that makes that more or less.

ALTER TABLE organization
    ADD COLUMN kept_files bigint NOT NULL DEFAULT 0 CHECK (kept_files >= 0),
    ADD COLUMN kept_bytes bigint NOT NULL DEFAULT 0 CHECK (kept_bytes >= 0);

UPDATE organization SET (kept_files, kept_bytes) = (
    SELECT count(*), coalesce(sum(size), 0) FROM file
    WHERE file.organization = organization.id AND file.state <> 'swept'
);
