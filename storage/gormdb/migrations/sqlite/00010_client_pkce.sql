-- +goose Up
-- Whether a client uses PKCE has three values now, beside its other settings.
UPDATE clients SET registered = json_set(registered, '$.pkce', 'off') WHERE skip_pkce = 1;
ALTER TABLE clients DROP COLUMN skip_pkce;
UPDATE deployment SET value = x'3130' WHERE id = 'floor'; -- older binaries write the column
