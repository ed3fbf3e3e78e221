-- Names are compared as bytes and given in canonical form; tenants are paged by id.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Raised in the transaction of every write, once for each row of the feed.
    version INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0);

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL UNIQUE,
    status TEXT NOT NULL,
    kind TEXT NOT NULL,
    shard TEXT NOT NULL,
    owner TEXT NOT NULL,
    region TEXT NOT NULL,
    locator TEXT NOT NULL,
    down INTEGER NOT NULL CHECK (down IN (0, 1)),
    retry_after_ms INTEGER,
    message TEXT,
    secret TEXT,
    -- The schema version of its file when that was last seen by a create, a migration or
    -- a rollback; NULL when nobody has looked. The file's own version is the truth.
    schema INTEGER
) STRICT, WITHOUT ROWID;
-- Two tenants never share a file.
CREATE UNIQUE INDEX tenants_place ON tenants (kind, shard, locator) WHERE locator <> '';
-- Tenants that are not at the newest schema are found without reading the others.
CREATE INDEX tenants_schema ON tenants (schema, id);
CREATE INDEX tenants_unfinished ON tenants (status, id) WHERE status <> 'active';

CREATE TABLE attributes (
    tenant TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- Every id and every further label: a name has one owner.
CREATE TABLE labels (
    label TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    -- NULL for a tenant's own id: the feed, which walks this index, has it with the tenant.
    version INTEGER UNIQUE CHECK ((version IS NULL) = (label = tenant))
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_tenant ON labels (tenant);

CREATE TABLE domains (
    domain TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    -- What its DNS must show before it routes; NULL when it does.
    challenge TEXT,
    -- NULL while it waits: the feed has nothing of it then.
    version INTEGER UNIQUE CHECK ((version IS NULL) = (challenge IS NOT NULL)),
    -- Where links to the tenant lead; at most one, and it routes.
    is_primary INTEGER NOT NULL DEFAULT 0
        CHECK (is_primary = 0 OR is_primary = 1 AND challenge IS NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX domains_tenant ON domains (tenant);
CREATE UNIQUE INDEX domains_primary ON domains (tenant) WHERE is_primary = 1;

-- Tombstones. They stay for ever: an epoch never decreases, and the feed reports that a name was
-- released before it reports the next owner.
CREATE TABLE removed (
    id TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE TABLE unbound (
    is_domain INTEGER NOT NULL CHECK (is_domain IN (0, 1)),
    name TEXT NOT NULL,
    version INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (is_domain, name)
) STRICT, WITHOUT ROWID;

-- Runs over many tenants. A run without an outcome is in progress, or its process was killed; the
-- next one of the same kind and target resumes it.
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    target TEXT NOT NULL,
    actor TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    outcome TEXT CHECK ((outcome IS NULL) = (ended_ms IS NULL))
) STRICT;
CREATE TABLE tasks (
    run INTEGER NOT NULL REFERENCES runs (run),
    tenant TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed', 'skipped')),
    was INTEGER,
    now INTEGER,
    why TEXT,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (run, tenant)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_tenant ON tasks (tenant, run);

-- The audit trail. `hash` covers the row and the hash before it.
CREATE TABLE events (
    version INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    what TEXT NOT NULL,
    tenant TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'events are never deleted'); END;
