-- +goose Up
ALTER TABLE clients ADD COLUMN registered TEXT NOT NULL DEFAULT '{}'; -- JSON: what a client may register beside the columns
ALTER TABLE families ADD COLUMN key_thumbprint TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN claims TEXT NOT NULL DEFAULT '';
