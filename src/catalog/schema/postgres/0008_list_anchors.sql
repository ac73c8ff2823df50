-- Anchors of lists: places in the list of each organization's ready files, with some 1,000 files between two of them,
-- so that a page deep in a list begins beside one and passes over no more.

-- In the order in which writes take these locks.
LOCK TABLE organization, file IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE list_anchor (
    organization text   COLLATE "C" NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    -- The place, which is a file's or was one when the anchor was made. Before the oldest file: -1 and no id.
    created_at   bigint NOT NULL,
    id           text   COLLATE "C" NOT NULL,
    -- How many ready files there are from this place on, its own one included, up to the next newer anchor's.
    files        bigint NOT NULL,
    PRIMARY KEY (organization, created_at, id)
) WITH (fillfactor = 50);

INSERT INTO list_anchor (organization, created_at, id, files)
    SELECT organization, created_at, id, 1024 FROM (
        SELECT organization, created_at, id,
            row_number() OVER (PARTITION BY organization ORDER BY created_at, id) AS place
        FROM file WHERE state = 'ready'
    ) AS listed WHERE place % 1024 = 1 AND place > 1;
INSERT INTO list_anchor (organization, created_at, id, files) SELECT id, -1, '', 1024 FROM organization;
-- Behind the newest of them are the rest.
UPDATE list_anchor SET files = (
    SELECT count(*) FROM file WHERE file.organization = list_anchor.organization AND state = 'ready'
        AND (file.created_at, file.id) >= (list_anchor.created_at, list_anchor.id)
) WHERE NOT EXISTS (
    SELECT 1 FROM list_anchor AS newer WHERE newer.organization = list_anchor.organization
        AND (newer.created_at, newer.id) > (list_anchor.created_at, list_anchor.id)
);

-- Triggers keep them, so that nothing that writes files can forget to. Whoever does has locked the organization.
CREATE FUNCTION count_listed(of_organization text, made_at bigint, file_id text, difference bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    anchor list_anchor;
BEGIN
    UPDATE list_anchor SET files = files + difference
        WHERE organization = of_organization AND (created_at, id) = (
            SELECT created_at, id FROM list_anchor WHERE organization = of_organization
                AND (created_at, id) <= (made_at, file_id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        )
        RETURNING * INTO anchor;
    IF difference < 0 AND anchor.files <= 512 AND anchor.created_at >= 0 THEN
        -- One of few files gives them to the next older one, if that has few, too.
        UPDATE list_anchor SET files = files + anchor.files
            WHERE organization = of_organization AND (created_at, id) = (
                SELECT created_at, id FROM list_anchor WHERE organization = of_organization
                    AND (created_at, id) < (anchor.created_at, anchor.id)
                ORDER BY created_at DESC, id DESC LIMIT 1
            ) AND files + anchor.files <= 1024;
        IF FOUND THEN
            DELETE FROM list_anchor
                WHERE organization = of_organization AND created_at = anchor.created_at AND id = anchor.id;
        END IF;
    END IF;
END
$$;

-- An anchor of many files leaves all but the oldest 1,024 to new ones. At the end of a transaction, when all its rows
-- are counted.
CREATE FUNCTION split_list_anchor() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    anchor list_anchor;
BEGIN
    SELECT * INTO anchor FROM list_anchor
        WHERE organization = NEW.organization AND created_at = NEW.created_at AND id = NEW.id AND files > 2048;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO list_anchor (organization, created_at, id, files)
        SELECT anchor.organization, created_at, id,
            CASE WHEN anchor.files < place + 2047 THEN anchor.files - place + 1 ELSE 1024 END
        FROM (
            SELECT created_at, id, row_number() OVER (ORDER BY created_at, id) AS place FROM file
            WHERE organization = anchor.organization AND state = 'ready'
                AND (created_at, id) >= (anchor.created_at, anchor.id)
                AND (created_at, id) < (
                    coalesce((
                        SELECT created_at FROM list_anchor WHERE organization = anchor.organization
                            AND (created_at, id) > (anchor.created_at, anchor.id)
                        ORDER BY created_at, id LIMIT 1
                    ), 9223372036854775807),
                    coalesce((
                        SELECT id FROM list_anchor WHERE organization = anchor.organization
                            AND (created_at, id) > (anchor.created_at, anchor.id)
                        ORDER BY created_at, id LIMIT 1
                    ), '')
                )
        ) AS listed
        WHERE place % 1024 = 1 AND place > 1 AND place + 1023 <= anchor.files;
    IF FOUND THEN
        UPDATE list_anchor SET files = 1024
            WHERE organization = anchor.organization AND created_at = anchor.created_at AND id = anchor.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION organization_is_listed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO list_anchor (organization, created_at, id, files) VALUES (NEW.id, -1, '', 0);
    RETURN NULL;
END
$$;

CREATE FUNCTION files_are_listed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counted record;
BEGIN
    FOR counted IN
        SELECT added.organization, anchor.created_at, anchor.id, count(*) AS files
        FROM added CROSS JOIN LATERAL (
            SELECT created_at, id FROM list_anchor WHERE organization = added.organization
                AND (created_at, id) <= (added.created_at, added.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        ) AS anchor
        WHERE added.state = 'ready'
        GROUP BY added.organization, anchor.created_at, anchor.id
    LOOP
        PERFORM count_listed(counted.organization, counted.created_at, counted.id, counted.files);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION file_is_listed_otherwise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'ready' THEN
        PERFORM count_listed(OLD.organization, OLD.created_at, OLD.id, -1);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state = 'ready' THEN
            PERFORM count_listed(NEW.organization, NEW.created_at, NEW.id, 1);
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER list_anchor_splits AFTER UPDATE OF files ON list_anchor
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.files > 2048) EXECUTE FUNCTION split_list_anchor();
CREATE TRIGGER organization_is_listed AFTER INSERT ON organization
    FOR EACH ROW EXECUTE FUNCTION organization_is_listed();
CREATE TRIGGER files_are_listed AFTER INSERT ON file
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION files_are_listed();
CREATE TRIGGER file_is_unlisted AFTER DELETE ON file
    FOR EACH ROW WHEN (OLD.state = 'ready') EXECUTE FUNCTION file_is_listed_otherwise();
CREATE TRIGGER file_is_listed_otherwise AFTER UPDATE OF state, created_at ON file
    FOR EACH ROW WHEN ((OLD.state = 'ready') <> (NEW.state = 'ready') OR OLD.created_at <> NEW.created_at)
    EXECUTE FUNCTION file_is_listed_otherwise();

-- What lists count of the expired files that are not deleted yet, and how many of them are before an anchor.
CREATE INDEX file_expiring_of ON file (organization, expires_at, created_at, id)
    WHERE state = 'ready' AND expires_at IS NOT NULL;
