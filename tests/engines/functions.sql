-- Functions of DuckDB that the models and statements of tests call, for databases of PostgreSQL.

-- VOLATILE, so that it is not called before it is needed.
CREATE FUNCTION error(message text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$ BEGIN RAISE EXCEPTION '%', message; END $$;

CREATE FUNCTION duckdb_tables() RETURNS TABLE (schema_name text, table_name text)
LANGUAGE sql STABLE AS $$
    SELECT schemaname, tablename FROM pg_catalog.pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
$$;
