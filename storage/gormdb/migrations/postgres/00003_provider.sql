-- +goose Up
ALTER TABLE clients ADD COLUMN registered TEXT NOT NULL DEFAULT '{}'; -- JSON: what a client may register beside the columns
ALTER TABLE grants ADD COLUMN key_thumbprint TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN claims TEXT NOT NULL DEFAULT '';

ALTER TABLE sessions ADD COLUMN upstream_sid TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_upstream ON sessions (connection, upstream_sid) WHERE upstream_sid <> '';

-- Clients that are still to be told that a session ended.
CREATE TABLE logouts (
    id         TEXT PRIMARY KEY NOT NULL,
    client_id  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    last_error TEXT NOT NULL
);
CREATE INDEX logouts_next ON logouts (next_at);
