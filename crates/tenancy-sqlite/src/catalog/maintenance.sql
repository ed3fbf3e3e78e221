-- Format 3.
-- Maintenance is a fact beside the status: `down`. What another status kept of it was not in force.
UPDATE tenants SET down = 0, retry_after_ms = NULL, message = NULL, secret = NULL
    WHERE status <> 'maintenance';
UPDATE tenants SET status = 'active', down = 1 WHERE status = 'maintenance';
-- Of a secret its SHA-256 hash alone is kept, in hexadecimal digits.
UPDATE tenants SET secret = sha256_hex(secret) WHERE secret <> '';
UPDATE tenants SET secret = NULL WHERE secret = '';
