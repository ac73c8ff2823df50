-- Apps, which sign requests for an API key.

CREATE TABLE app (
    id         TEXT    NOT NULL PRIMARY KEY,
    api_key    TEXT    NOT NULL REFERENCES api_key (id),
    -- An HMAC key: signatures can be checked with nothing less than itself.
    secret     TEXT    NOT NULL CHECK (length(secret) BETWEEN 1 AND 256),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX app_api_key ON app (api_key);

-- What an organization asks for that names a folder without its owner.
CREATE INDEX folder_member_member ON folder_member (member, folder);
