-- +goose Up
ALTER TABLE accounts ADD COLUMN lock TEXT NOT NULL DEFAULT ''; -- JSON, empty for none
-- The address of an account that nobody has proven; its email is then no address.
ALTER TABLE accounts ADD COLUMN claimed TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_claimed ON accounts (claimed) WHERE claimed <> '';
ALTER TABLE sessions ADD COLUMN standing TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN factor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE families ADD COLUMN standing TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN factor INTEGER NOT NULL DEFAULT 0;
