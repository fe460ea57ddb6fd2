-- The data folder that a database of its own server belongs to: log and states are there, and what they mean is here.
CREATE TABLE store_home (
    home TEXT NOT NULL PRIMARY KEY
);
