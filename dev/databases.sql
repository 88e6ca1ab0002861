-- For docker-compose.yaml: one database for each deployment.
CREATE DATABASE triggering;
CREATE DATABASE target;
