-- +goose Up
ALTER TABLE accounts ADD COLUMN restriction TEXT NOT NULL DEFAULT ''; -- JSON, empty for none
-- The address of an account that is not verified yet; its email is then no address.
ALTER TABLE accounts ADD COLUMN claimed TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_claimed ON accounts (claimed) WHERE claimed <> '';
ALTER TABLE sessions ADD COLUMN user_type TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN factor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN user_type TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN factor INTEGER NOT NULL DEFAULT 0;
