-- Format 3.
-- Maintenance is a column beside the status: `down`. Under another status it was not in force.
UPDATE tenants SET down = 0, retry_after_ms = NULL, message = NULL, secret = NULL
    WHERE status <> 'maintenance';
UPDATE tenants SET status = 'active', down = 1 WHERE status = 'maintenance';
-- Only the SHA-256 hash of a secret is kept, in hexadecimal digits.
UPDATE tenants SET secret = sha256_hex(secret) WHERE secret <> '';
UPDATE tenants SET secret = NULL WHERE secret = '';
