-- For docker-compose.yaml: a database for each deployment.
CREATE DATABASE triggering;
CREATE DATABASE target;
