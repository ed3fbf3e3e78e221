CREATE INDEX visits_by_path ON visits (path);

CREATE VIEW popular AS
SELECT path, visits FROM pages ORDER BY visits DESC, path;
