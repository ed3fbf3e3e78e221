-- Format 2.
-- The places of databases that are provisioned in advance. A tenant that takes one removes its row in
-- the same transaction, so two tenants never get the same place.
CREATE TABLE IF NOT EXISTS stock (
    locator TEXT PRIMARY KEY,
    -- What it is like: who would make another takes none.
    fingerprint TEXT NOT NULL,
    schema INTEGER NOT NULL,
    -- 0 while its file is being made or removed, since `at_ms`.
    ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stock_ready ON stock (fingerprint, ready);
