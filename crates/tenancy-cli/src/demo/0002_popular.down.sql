DROP VIEW popular;
DROP INDEX visits_by_path;
