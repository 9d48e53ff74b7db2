-- +goose Up

-- Moments are microseconds since 1970 UTC, 0 for none. Lists and maps are JSON.

-- What the deployment keeps about itself: "floor", the oldest schema version a
-- binary may know and still use this database; "canary", a sealed word.
CREATE TABLE deployment (
    id    TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO deployment (id, value) VALUES ('floor', x'31');

CREATE TABLE accounts (
    id            TEXT PRIMARY KEY NOT NULL,
    email         TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    given_name    TEXT NOT NULL,
    family_name   TEXT NOT NULL,
    locale        TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled      INTEGER NOT NULL,
    auth_epoch    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE connections (
    id         TEXT PRIMARY KEY NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    state      TEXT NOT NULL,
    pinned     INTEGER NOT NULL, -- it was live once
    issuer     TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    secrets    BLOB,             -- sealed
    settings   TEXT NOT NULL,
    domains    TEXT NOT NULL,
    hidden     INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE identities (
    id         TEXT PRIMARY KEY NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    connection TEXT NOT NULL REFERENCES connections (id),
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    email      TEXT NOT NULL,
    linked_at  INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    UNIQUE (connection, issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_account ON identities (account_id);

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY NOT NULL,
    hash       TEXT NOT NULL UNIQUE, -- keyed, of the cookie
    account_id TEXT NOT NULL,
    method     TEXT NOT NULL,
    connection TEXT NOT NULL,
    identity   TEXT NOT NULL,
    amr        TEXT NOT NULL,
    acr        TEXT NOT NULL,
    auth_time  INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    user_agent TEXT NOT NULL,
    address    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE grants (
    id         TEXT PRIMARY KEY NOT NULL,
    client_id  TEXT NOT NULL,
    account_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    audience   TEXT NOT NULL,
    method     TEXT NOT NULL,
    connection TEXT NOT NULL,
    identity   TEXT NOT NULL,
    amr        TEXT NOT NULL,
    acr        TEXT NOT NULL,
    auth_time  INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    refresh_counter INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    ended_by   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_account ON grants (account_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE clients (
    id                        TEXT PRIMARY KEY NOT NULL,
    name                      TEXT NOT NULL,
    secret_hashes             TEXT NOT NULL,
    auth_method               TEXT NOT NULL,
    redirect_uris             TEXT NOT NULL,
    post_logout_redirect_uris TEXT NOT NULL,
    grant_types               TEXT NOT NULL,
    scopes                    TEXT NOT NULL,
    audience                  TEXT NOT NULL,
    native                    INTEGER NOT NULL,
    first_party               INTEGER NOT NULL,
    skip_pkce                 INTEGER NOT NULL,
    id_token_alg              TEXT NOT NULL,
    disabled                  INTEGER NOT NULL,
    created_at                INTEGER NOT NULL,
    updated_at                INTEGER NOT NULL
) STRICT;

CREATE TABLE consents (
    account_id TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    version    TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_client ON consents (client_id);

CREATE TABLE events (
    id         TEXT PRIMARY KEY NOT NULL,
    at         INTEGER NOT NULL,
    verb       TEXT NOT NULL,
    code       TEXT NOT NULL,
    account    TEXT NOT NULL,
    actor      TEXT NOT NULL,
    client     TEXT NOT NULL,
    connection TEXT NOT NULL,
    session    TEXT NOT NULL,
    reference  TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    detail     TEXT NOT NULL
) STRICT;
CREATE INDEX events_at ON events (at);
CREATE INDEX events_account ON events (account, at) WHERE account <> '';
CREATE INDEX events_reference ON events (reference) WHERE reference <> '';

CREATE TABLE mails (
    id         TEXT PRIMARY KEY NOT NULL,
    recipient  TEXT NOT NULL,
    content    BLOB NOT NULL, -- sealed: subject, text and HTML
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    last_error TEXT NOT NULL
) STRICT;
CREATE INDEX mails_next ON mails (next_at);

CREATE TABLE signing_keys (
    id         TEXT PRIMARY KEY NOT NULL,
    alg        TEXT NOT NULL,
    state      TEXT NOT NULL,
    private    BLOB NOT NULL, -- sealed: PKCS #8
    created_at INTEGER NOT NULL,
    active_at  INTEGER NOT NULL,
    retire_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE replays (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_expires ON replays (expires_at);

CREATE TABLE leases (
    name   TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ephemeral (
    store      TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    n          INTEGER NOT NULL, -- of a counter
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (store, key)
) STRICT;
CREATE INDEX ephemeral_expires ON ephemeral (expires_at);
