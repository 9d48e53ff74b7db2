-- +goose Up
ALTER TABLE accounts ADD COLUMN restriction text COLLATE "C" NOT NULL DEFAULT ''; -- JSON, empty for none
-- The address of an account that is not verified yet; its email is then no address.
ALTER TABLE accounts ADD COLUMN claimed text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX accounts_claimed ON accounts (claimed) WHERE claimed <> '';
ALTER TABLE sessions ADD COLUMN user_type text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN factor boolean NOT NULL DEFAULT false;
ALTER TABLE grants ADD COLUMN user_type text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN factor boolean NOT NULL DEFAULT false;
