-- +goose Up
CREATE INDEX logouts_session ON logouts (session_id);
