DROP TABLE visits;
DROP TABLE pages;
