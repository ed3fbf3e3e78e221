-- Format 4.
-- The storage root whose files this catalog lists, by the id in its marker.
CREATE TABLE IF NOT EXISTS storage (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
) STRICT;
