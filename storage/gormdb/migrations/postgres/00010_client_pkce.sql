-- +goose Up
-- Whether a client uses PKCE has three values now, beside its other settings.
UPDATE clients SET registered = CAST(CAST(registered AS jsonb) || '{"pkce": "off"}' AS text) WHERE skip_pkce;
ALTER TABLE clients DROP COLUMN skip_pkce;
UPDATE deployment SET value = '\x3130' WHERE id = 'floor'; -- older binaries write the column
