-- How many links of each organization have counts of their own, which are bounded: beyond that a download counts for its
-- file alone.

CREATE TABLE link_counter (
    organization TEXT    NOT NULL PRIMARY KEY REFERENCES organization (id) ON DELETE CASCADE,
    links        INTEGER NOT NULL CHECK (links >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO link_counter (organization, links)
    SELECT organization, count(*) FROM link_count GROUP BY organization;

-- Triggers keep it, so that nothing that writes counts can forget to.
CREATE TRIGGER link_is_counted AFTER INSERT ON link_count BEGIN
    INSERT INTO link_counter (organization, links) VALUES (NEW.organization, 1)
        ON CONFLICT (organization) DO UPDATE SET links = links + 1;
END;

CREATE TRIGGER link_is_uncounted AFTER DELETE ON link_count BEGIN
    UPDATE link_counter SET links = max(links - 1, 0) WHERE organization = OLD.organization;
END;
