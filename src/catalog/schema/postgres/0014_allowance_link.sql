-- The allowance of a link, by the link first. Without statistics, as they are in the first minute of a database, an index
-- that begins with the organization is as good as the primary key for whoever checks that a download has its allowance,
-- and then each start of a download went through all allowances of the organization.

DROP INDEX allowance_link;
CREATE INDEX allowance_link ON allowance (link_id, organization);
