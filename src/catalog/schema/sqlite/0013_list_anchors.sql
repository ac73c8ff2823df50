-- Anchors of lists: places in the list of each organization's ready files, with some 1,000 files between two of them,
-- so that a page deep in a list begins beside one and passes over no more.

CREATE TABLE list_anchor (
    organization TEXT    NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    -- The place, which is a file's or was one when the anchor was made. Before the oldest file: -1 and no id.
    created_at   INTEGER NOT NULL,
    id           TEXT    NOT NULL,
    -- How many ready files there are from this place on, its own one included, up to the next newer anchor's.
    files        INTEGER NOT NULL,
    PRIMARY KEY (organization, created_at, id)
) STRICT, WITHOUT ROWID;

INSERT INTO list_anchor (organization, created_at, id, files)
    SELECT organization, created_at, id, 1024 FROM (
        SELECT organization, created_at, id,
            row_number() OVER (PARTITION BY organization ORDER BY created_at, id) AS place
        FROM file WHERE state = 'ready'
    ) WHERE place % 1024 = 1 AND place > 1;
INSERT INTO list_anchor (organization, created_at, id, files) SELECT id, -1, '', 1024 FROM organization;
-- Behind the newest of them are the rest.
UPDATE list_anchor SET files = (
    SELECT count(*) FROM file WHERE file.organization = list_anchor.organization AND state = 'ready'
        AND (file.created_at, file.id) >= (list_anchor.created_at, list_anchor.id)
) WHERE NOT EXISTS (
    SELECT 1 FROM list_anchor AS newer WHERE newer.organization = list_anchor.organization
        AND (newer.created_at, newer.id) > (list_anchor.created_at, list_anchor.id)
);

-- Triggers keep them, so that nothing that writes files can forget to.
CREATE TRIGGER organization_is_listed AFTER INSERT ON organization BEGIN
    INSERT INTO list_anchor (organization, created_at, id, files) VALUES (NEW.id, -1, '', 0);
END;

CREATE TRIGGER file_is_listed AFTER INSERT ON file WHEN NEW.state = 'ready' BEGIN
    UPDATE list_anchor SET files = files + 1
        WHERE organization = NEW.organization AND (created_at, id) = (
            SELECT created_at, id FROM list_anchor WHERE organization = NEW.organization
                AND (created_at, id) <= (NEW.created_at, NEW.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        );
END;

CREATE TRIGGER file_is_unlisted AFTER DELETE ON file WHEN OLD.state = 'ready' BEGIN
    UPDATE list_anchor SET files = files - 1
        WHERE organization = OLD.organization AND (created_at, id) = (
            SELECT created_at, id FROM list_anchor WHERE organization = OLD.organization
                AND (created_at, id) <= (OLD.created_at, OLD.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        );
END;

CREATE TRIGGER file_is_listed_otherwise AFTER UPDATE OF state, created_at ON file
WHEN (OLD.state = 'ready') <> (NEW.state = 'ready') OR OLD.created_at <> NEW.created_at BEGIN
    UPDATE list_anchor SET files = files - 1
        WHERE OLD.state = 'ready' AND organization = OLD.organization AND (created_at, id) = (
            SELECT created_at, id FROM list_anchor WHERE organization = OLD.organization
                AND (created_at, id) <= (OLD.created_at, OLD.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        );
    UPDATE list_anchor SET files = files + 1
        WHERE NEW.state = 'ready' AND organization = NEW.organization AND (created_at, id) = (
            SELECT created_at, id FROM list_anchor WHERE organization = NEW.organization
                AND (created_at, id) <= (NEW.created_at, NEW.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        );
END;

-- An anchor of many files leaves all but the oldest 1,024 to a new one.
CREATE TRIGGER list_anchor_splits AFTER UPDATE OF files ON list_anchor WHEN NEW.files > 2048 BEGIN
    INSERT INTO list_anchor (organization, created_at, id, files)
        SELECT organization, created_at, id, NEW.files - 1024 FROM file
        WHERE organization = NEW.organization AND state = 'ready'
            AND (created_at, id) >= (NEW.created_at, NEW.id)
            AND (created_at, id) < (
                coalesce((
                    SELECT created_at FROM list_anchor WHERE organization = NEW.organization
                        AND (created_at, id) > (NEW.created_at, NEW.id)
                    ORDER BY created_at, id LIMIT 1
                ), 9223372036854775807),
                coalesce((
                    SELECT id FROM list_anchor WHERE organization = NEW.organization
                        AND (created_at, id) > (NEW.created_at, NEW.id)
                    ORDER BY created_at, id LIMIT 1
                ), '')
            )
        ORDER BY created_at, id LIMIT 1 OFFSET 1024;
    UPDATE list_anchor SET files = 1024
        WHERE organization = NEW.organization AND created_at = NEW.created_at AND id = NEW.id AND changes() = 1;
END;

-- One of few files gives them to the next older one, if that has few, too.
CREATE TRIGGER list_anchor_merges AFTER UPDATE OF files ON list_anchor
WHEN NEW.files < OLD.files AND NEW.files <= 512 AND NEW.created_at >= 0 BEGIN
    UPDATE list_anchor SET files = files + NEW.files
        WHERE organization = NEW.organization AND (created_at, id) = (
            SELECT created_at, id FROM list_anchor WHERE organization = NEW.organization
                AND (created_at, id) < (NEW.created_at, NEW.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        ) AND files + NEW.files <= 1024;
    DELETE FROM list_anchor
        WHERE organization = NEW.organization AND created_at = NEW.created_at AND id = NEW.id AND changes() = 1;
END;

-- What lists count of the expired files that are not deleted yet, and how many of them are before an anchor.
CREATE INDEX file_expiring_of ON file (organization, expires_at, created_at, id)
    WHERE state = 'ready' AND expires_at IS NOT NULL;
