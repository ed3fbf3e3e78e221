-- Format 6.
-- Several tenants may claim one domain until one of them proves it; `domains` has those that route.
CREATE TABLE claims (
    domain TEXT NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    -- What its DNS must show.
    challenge TEXT NOT NULL,
    -- When the attempt began.
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (domain, tenant)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_tenant ON claims (tenant);
CREATE INDEX claims_age ON claims (at_ms);
INSERT INTO claims SELECT domain, tenant, challenge, 1000 * unixepoch() FROM domains
    WHERE challenge IS NOT NULL;

CREATE TABLE routed (
    domain TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    version INTEGER NOT NULL UNIQUE,
    -- Where links to the tenant lead; at most one.
    is_primary INTEGER NOT NULL DEFAULT 0 CHECK (is_primary IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO routed SELECT domain, tenant, version, is_primary FROM domains
    WHERE challenge IS NULL;
DROP TABLE domains;
ALTER TABLE routed RENAME TO domains;
CREATE INDEX domains_tenant ON domains (tenant);
CREATE UNIQUE INDEX domains_primary ON domains (tenant) WHERE is_primary = 1;
