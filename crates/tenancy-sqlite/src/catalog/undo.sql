-- The target version of a run, if all its tenants have the same one, and the run that a rollback
-- undoes. A run of an earlier format has neither: its tasks have the versions that the catalog knew,
-- not those of the files.
ALTER TABLE runs ADD COLUMN version INTEGER;
ALTER TABLE runs ADD COLUMN undoes INTEGER REFERENCES runs (run);
