-- The CRC-32 of a file's bytes, for zip archives; nothing where nobody has read them for it yet.
ALTER TABLE file ADD COLUMN crc32 bigint CHECK (crc32 BETWEEN 0 AND 4294967295);

-- What the background task asks for.
CREATE INDEX file_crc32_unknown ON file (organization, id) WHERE state = 'ready' AND crc32 IS NULL;
