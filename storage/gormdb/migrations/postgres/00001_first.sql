-- +goose Up

-- Moments are microseconds since 1970 UTC, 0 for none. Lists and maps are JSON.
-- Text compares by its bytes, as in SQLite. Rows that are updated often leave
-- room in their page, so that an update touches no index.

-- What the deployment keeps about itself: "floor", the oldest schema version a
-- binary may know and still use this database; "canary", a sealed word.
CREATE TABLE deployment (
    id    text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);
INSERT INTO deployment (id, value) VALUES ('floor', '\x31');

CREATE TABLE accounts (
    id            text COLLATE "C" PRIMARY KEY,
    email         text COLLATE "C" NOT NULL UNIQUE,
    name          text COLLATE "C" NOT NULL,
    given_name    text COLLATE "C" NOT NULL,
    family_name   text COLLATE "C" NOT NULL,
    locale        text COLLATE "C" NOT NULL,
    password_hash text COLLATE "C" NOT NULL,
    disabled      boolean NOT NULL,
    auth_epoch    bigint NOT NULL,
    created_at    bigint NOT NULL,
    updated_at    bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE connections (
    id         text COLLATE "C" PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL,
    pinned     boolean NOT NULL, -- it was live once
    issuer     text COLLATE "C" NOT NULL,
    client_id  text COLLATE "C" NOT NULL,
    secrets    bytea,             -- sealed
    settings   text COLLATE "C" NOT NULL,
    domains    text COLLATE "C" NOT NULL,
    hidden     boolean NOT NULL,
    position   bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE TABLE identities (
    id         text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES accounts (id),
    connection text COLLATE "C" NOT NULL REFERENCES connections (id),
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    email      text COLLATE "C" NOT NULL,
    linked_at  bigint NOT NULL,
    seen_at    bigint NOT NULL,
    UNIQUE (connection, issuer, subject)
) WITH (fillfactor = 80);
CREATE INDEX identities_account ON identities (account_id);

CREATE TABLE sessions (
    id         text COLLATE "C" PRIMARY KEY,
    hash       text COLLATE "C" NOT NULL UNIQUE, -- keyed, of the cookie
    account_id text COLLATE "C" NOT NULL,
    method     text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    identity   text COLLATE "C" NOT NULL,
    amr        text COLLATE "C" NOT NULL,
    acr        text COLLATE "C" NOT NULL,
    auth_time  bigint NOT NULL,
    epoch      bigint NOT NULL,
    user_agent text COLLATE "C" NOT NULL,
    address    text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at   bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE grants (
    id         text COLLATE "C" PRIMARY KEY,
    client_id  text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    scopes     text COLLATE "C" NOT NULL,
    audience   text COLLATE "C" NOT NULL,
    method     text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    identity   text COLLATE "C" NOT NULL,
    amr        text COLLATE "C" NOT NULL,
    acr        text COLLATE "C" NOT NULL,
    auth_time  bigint NOT NULL,
    epoch      bigint NOT NULL,
    refresh_counter bigint NOT NULL,
    rotated_at bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at   bigint NOT NULL,
    ended_by   text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX grants_account ON grants (account_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE clients (
    id                        text COLLATE "C" PRIMARY KEY,
    name                      text COLLATE "C" NOT NULL,
    secret_hashes             text COLLATE "C" NOT NULL,
    auth_method               text COLLATE "C" NOT NULL,
    redirect_uris             text COLLATE "C" NOT NULL,
    post_logout_redirect_uris text COLLATE "C" NOT NULL,
    grant_types               text COLLATE "C" NOT NULL,
    scopes                    text COLLATE "C" NOT NULL,
    audience                  text COLLATE "C" NOT NULL,
    native                    boolean NOT NULL,
    first_party               boolean NOT NULL,
    skip_pkce                 boolean NOT NULL,
    id_token_alg              text COLLATE "C" NOT NULL,
    disabled                  boolean NOT NULL,
    created_at                bigint NOT NULL,
    updated_at                bigint NOT NULL
);

CREATE TABLE consents (
    account_id text COLLATE "C" NOT NULL,
    client_id  text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    scopes     text COLLATE "C" NOT NULL,
    granted_at bigint NOT NULL,
    PRIMARY KEY (account_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

CREATE TABLE events (
    id         text COLLATE "C" PRIMARY KEY,
    at         bigint NOT NULL,
    verb       text COLLATE "C" NOT NULL,
    code       text COLLATE "C" NOT NULL,
    account    text COLLATE "C" NOT NULL,
    actor      text COLLATE "C" NOT NULL,
    client     text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    session    text COLLATE "C" NOT NULL,
    reference  text COLLATE "C" NOT NULL,
    address    text COLLATE "C" NOT NULL,
    user_agent text COLLATE "C" NOT NULL,
    detail     text COLLATE "C" NOT NULL
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_account ON events (account, at) WHERE account <> '';
CREATE INDEX events_reference ON events (reference) WHERE reference <> '';

CREATE TABLE mails (
    id         text COLLATE "C" PRIMARY KEY,
    recipient  text COLLATE "C" NOT NULL,
    content    bytea NOT NULL, -- sealed: subject, text and HTML
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    attempts   bigint NOT NULL,
    next_at    bigint NOT NULL,
    last_error text COLLATE "C" NOT NULL
);
CREATE INDEX mails_next ON mails (next_at);

CREATE TABLE signing_keys (
    id         text COLLATE "C" PRIMARY KEY,
    alg        text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL,
    private    bytea NOT NULL, -- sealed: PKCS #8
    created_at bigint NOT NULL,
    active_at  bigint NOT NULL,
    retire_at  bigint NOT NULL
);

CREATE TABLE replays (
    kind       text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX replays_expires ON replays (expires_at);

CREATE TABLE leases (
    name   text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    until  bigint NOT NULL
);

CREATE TABLE ephemeral (
    store      text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      bytea NOT NULL,
    n          bigint NOT NULL, -- of a counter
    expires_at bigint NOT NULL,
    PRIMARY KEY (store, key)
) WITH (fillfactor = 80);
CREATE INDEX ephemeral_expires ON ephemeral (expires_at);
