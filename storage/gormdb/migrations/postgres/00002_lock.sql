-- +goose Up
ALTER TABLE accounts ADD COLUMN lock text COLLATE "C" NOT NULL DEFAULT ''; -- JSON, empty for none
-- The address of an account that nobody has proven; its email is then no address.
ALTER TABLE accounts ADD COLUMN claimed text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX accounts_claimed ON accounts (claimed) WHERE claimed <> '';
ALTER TABLE sessions ADD COLUMN standing text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN factor boolean NOT NULL DEFAULT false;
ALTER TABLE families ADD COLUMN standing text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN factor boolean NOT NULL DEFAULT false;
