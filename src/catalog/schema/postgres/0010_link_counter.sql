-- How many links of each organization have counts of their own, which are bounded: beyond that a download counts for its
-- file alone.

LOCK TABLE organization, link_count IN SHARE ROW EXCLUSIVE MODE;

-- A row of its own, which only those lock who count: an upload, which locks the organization's row, waits for none of them.
CREATE TABLE link_counter (
    organization text   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES organization (id) ON DELETE CASCADE,
    links        bigint NOT NULL CHECK (links >= 0)
) WITH (fillfactor = 50);

INSERT INTO link_counter (organization, links)
    SELECT organization, count(*) FROM link_count GROUP BY organization;

-- Triggers keep it, so that nothing that writes counts can forget to. Whoever adds counts of a new link, or forgets
-- some, has locked the row before.
CREATE FUNCTION links_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO link_counter (organization, links)
        SELECT organization, count(*) FROM added GROUP BY organization ORDER BY organization
        ON CONFLICT (organization) DO UPDATE SET links = link_counter.links + excluded.links;
    RETURN NULL;
END
$$;

CREATE FUNCTION links_are_uncounted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE link_counter SET links = greatest(link_counter.links - gone.links, 0)
        FROM (SELECT organization, count(*) AS links FROM removed GROUP BY organization) AS gone
        WHERE link_counter.organization = gone.organization;
    RETURN NULL;
END
$$;

CREATE TRIGGER links_are_counted AFTER INSERT ON link_count
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION links_are_counted();
CREATE TRIGGER links_are_uncounted AFTER DELETE ON link_count
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION links_are_uncounted();
