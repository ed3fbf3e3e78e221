-- The schema version that a run leads to, if that is one for all of its tenants, and the
-- run that a rollback takes back. A run of an earlier format has neither: its tasks say
-- what the catalog believed, not what the files were.
ALTER TABLE runs ADD COLUMN version INTEGER;
ALTER TABLE runs ADD COLUMN undoes INTEGER REFERENCES runs (run);
