-- Since when a file's bytes are known to be damaged. It is not served until they are found whole again.

ALTER TABLE file ADD COLUMN damaged_at INTEGER;
