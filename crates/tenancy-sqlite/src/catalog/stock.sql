-- Format 2.
-- Places of databases that wait for tenants yet to come. A tenant that takes one takes its
-- row away in the same transaction, so two never get the same.
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
