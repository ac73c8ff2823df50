-- The change feed, and how much each organization revoked.

-- A row for each change of what processes keep in memory, in the order in which they were committed, so that a
-- process reads what is new to it and nothing else. The numbers go up by one, and the newest row is always there.
CREATE TABLE change (
    version      INTEGER NOT NULL PRIMARY KEY CHECK (version >= 0),
    -- Random bits: another row of the same number, as in an older catalogue that was put back, has others.
    stamp        INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    organization TEXT,
    -- The id of a link, a file or an API key.
    item         TEXT,
    -- The time at which a link is dead, a link revision, or an epoch.
    number       INTEGER
) STRICT;

INSERT INTO change (version, stamp, kind) VALUES (0, random(), 'everything');

-- In their place processes compared two numbers, and read everything anew when one had changed.
DROP TABLE IF EXISTS revocation_version;
DROP TABLE IF EXISTS row_version;

-- A denial and a link revision are of the epoch of their organization in which they were made. Those of an earlier
-- one count for nothing: raising the epoch writes one row, whatever was revoked before, and a background task clears
-- them away.
-- Whether the link was named by its id alone.
ALTER TABLE denied_link ADD COLUMN id_alone INTEGER NOT NULL DEFAULT 0 CHECK (id_alone IN (0, 1));
ALTER TABLE denied_link ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0);
ALTER TABLE file ADD COLUMN link_epoch INTEGER NOT NULL DEFAULT 0;

UPDATE denied_link SET epoch = (SELECT epoch FROM organization WHERE organization.id = denied_link.organization);
UPDATE file SET link_epoch = (SELECT epoch FROM organization WHERE organization.id = file.organization)
    WHERE link_revision > 0;

-- By what an organization whose list is full forgets its dead links, and what is of an earlier epoch is found.
CREATE INDEX denied_link_dead ON denied_link (organization, epoch, id_alone, expires);
DROP INDEX file_revised;
CREATE INDEX file_revised ON file (organization, link_epoch, id, link_revision) WHERE link_revision > 0;

-- How many links an organization denied, how many of them by their ids alone, and how many of its files have a
-- raised link revision, all in its epoch. Kept by every transaction that makes that more or less.
ALTER TABLE organization ADD COLUMN denied_links INTEGER NOT NULL DEFAULT 0 CHECK (denied_links >= 0);
ALTER TABLE organization ADD COLUMN denied_ids INTEGER NOT NULL DEFAULT 0 CHECK (denied_ids >= 0);
ALTER TABLE organization ADD COLUMN revised_files INTEGER NOT NULL DEFAULT 0 CHECK (revised_files >= 0);
-- What was revoked in the epochs before this one is cleared away.
ALTER TABLE organization ADD COLUMN cleared_epoch INTEGER NOT NULL DEFAULT 0;

UPDATE organization SET cleared_epoch = epoch, denied_links = (
    SELECT count(*) FROM denied_link WHERE denied_link.organization = organization.id
), revised_files = (
    SELECT count(*) FROM file WHERE file.organization = organization.id AND link_revision > 0
);

CREATE INDEX organization_uncleared ON organization (id) WHERE cleared_epoch < epoch;
