-- The change feed, and how much each organization revoked.

-- Those who still write under the older schema take these locks in this order: none of them waits in a circle with
-- what follows.
LOCK TABLE revocation_version, organization, file, denied_link, row_version IN ACCESS EXCLUSIVE MODE;

-- A row for each change of what processes keep in memory, in the order in which they were committed, so that a
-- process reads what is new to it and nothing else. The numbers go up by one, and the newest row is always there.
CREATE TABLE change (
    version      bigint NOT NULL PRIMARY KEY CHECK (version >= 0),
    -- Random bits: another row of the same number, as on a server that took over without the last changes of
    -- another one, or was put back to an earlier moment, has others.
    stamp        bigint NOT NULL,
    kind         text   NOT NULL,
    organization text   COLLATE "C",
    -- The id of a link, a file or an API key.
    item         text   COLLATE "C",
    -- The time at which a link is dead, a link revision, or an epoch.
    number       bigint
);

INSERT INTO change (version, stamp, kind)
    VALUES (0, ('x' || replace(gen_random_uuid()::text, '-', ''))::bit(64)::bigint, 'everything');

-- The number of the newest row. A transaction takes the next numbers here, last of all, and locks this row until it
-- is committed. It fills no page, so that raising it stays cheap.
CREATE TABLE change_head (
    one     integer NOT NULL PRIMARY KEY CHECK (one = 1),
    version bigint  NOT NULL
) WITH (fillfactor = 10);

INSERT INTO change_head (one, version) VALUES (1, 0);

-- In their place processes compared two numbers, and read everything anew when one had changed.
DROP TABLE revocation_version;
DROP TABLE row_version;

-- A denial and a link revision are of the epoch of their organization in which they were made. Those of an earlier
-- one count for nothing: raising the epoch writes one row, whatever was revoked before, and a background task clears
-- them away.
ALTER TABLE denied_link
    -- Whether the link was named by its id alone.
    ADD COLUMN id_alone bigint NOT NULL DEFAULT 0 CHECK (id_alone IN (0, 1)),
    ADD COLUMN epoch    bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0);
ALTER TABLE file ADD COLUMN link_epoch bigint NOT NULL DEFAULT 0;

UPDATE denied_link SET epoch = organization.epoch FROM organization
    WHERE organization.id = denied_link.organization AND organization.epoch > 0;
UPDATE file SET link_epoch = organization.epoch FROM organization
    WHERE organization.id = file.organization AND organization.epoch > 0 AND link_revision > 0;

-- By what an organization whose list is full forgets its dead links, and what is of an earlier epoch is found.
CREATE INDEX denied_link_dead ON denied_link (organization, epoch, id_alone, expires);
DROP INDEX file_revised;
CREATE INDEX file_revised ON file (organization, link_epoch, id, link_revision) WHERE link_revision > 0;

-- How many links an organization denied, how many of them by their ids alone, and how many of its files have a
-- raised link revision, all in its epoch. Kept by every transaction that makes that more or less.
ALTER TABLE organization
    ADD COLUMN denied_links  bigint NOT NULL DEFAULT 0 CHECK (denied_links >= 0),
    ADD COLUMN denied_ids    bigint NOT NULL DEFAULT 0 CHECK (denied_ids >= 0),
    ADD COLUMN revised_files bigint NOT NULL DEFAULT 0 CHECK (revised_files >= 0),
    -- What was revoked in the epochs before this one is cleared away.
    ADD COLUMN cleared_epoch bigint NOT NULL DEFAULT 0;

UPDATE organization SET cleared_epoch = epoch, denied_links = (
    SELECT count(*) FROM denied_link WHERE denied_link.organization = organization.id
), revised_files = (
    SELECT count(*) FROM file WHERE file.organization = organization.id AND link_revision > 0
);

CREATE INDEX organization_uncleared ON organization (id) WHERE cleared_epoch < epoch;
