/*
 * The tenant cache: rendered documents, and the log of what has changed under them. Both are written and read in C (src/tenant_cache.c,
 * src/cache_change.c), so the columns' order is part of those files' contract.
 *
 * Both are unlogged: all of it can be made anew, a reader that stores a document writes no WAL, and a crash empties the two together. One without
 * the other must not survive, or a document would outlive the changes that make it stale.
 */
CREATE UNLOGGED TABLE mindtickle.cache_entry (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	resource pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	xid pg_catalog.xid8 NOT NULL,
	part pg_catalog.int4 NOT NULL,
	version pg_catalog.int8 NOT NULL,
	bytes pg_catalog.int8 NOT NULL,
	cursor pg_catalog.pg_snapshot NOT NULL,
	rendered_at pg_catalog.timestamptz NOT NULL,
	expires_at pg_catalog.timestamptz NOT NULL,
	body pg_catalog.text COMPRESSION lz4 NOT NULL,
	PRIMARY KEY (tenant_id, resource, xid, part)
);
COMMENT ON TABLE mindtickle.cache_entry IS 'rendered documents of a tenant; one counts for a snapshot that shows it and no change that its cursor has not';
COMMENT ON COLUMN mindtickle.cache_entry.xid IS 'the transaction that stored it, and part which of its rows; rows are added and deleted, never updated, so nobody waits for another one';
COMMENT ON COLUMN mindtickle.cache_entry.version IS 'of the content: the first 63 bits of its SHA-256, so that the same content has the same version, here and anywhere';
COMMENT ON COLUMN mindtickle.cache_entry.bytes IS 'length of the document, which counts towards cache_bytes';
COMMENT ON COLUMN mindtickle.cache_entry.cursor IS 'the snapshot that the document shows';

CREATE UNLOGGED TABLE mindtickle.cache_change (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	resource pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	xid pg_catalog.xid8 NOT NULL,
	part pg_catalog.int4 NOT NULL,
	PRIMARY KEY (tenant_id, resource, xid, part)
);
COMMENT ON TABLE mindtickle.cache_change IS 'which transaction changed the rows behind a document; removed once every snapshot shows the change';

CREATE FUNCTION mindtickle.cache_changed() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_cache_changed';
COMMENT ON FUNCTION mindtickle.cache_changed() IS 'trigger: notes that the transaction changes the rows behind the document that is its argument';

-- For each row and ALWAYS: logical replication fires no other triggers, and a statement that changes no row changes no document.
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON mindtickle.users
	FOR EACH ROW EXECUTE FUNCTION mindtickle.cache_changed('roster');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON mindtickle.team
	FOR EACH ROW EXECUTE FUNCTION mindtickle.cache_changed('roster');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON mindtickle.team_member
	FOR EACH ROW EXECUTE FUNCTION mindtickle.cache_changed('roster');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON mindtickle.course
	FOR EACH ROW EXECUTE FUNCTION mindtickle.cache_changed('catalog');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON mindtickle.quiz
	FOR EACH ROW EXECUTE FUNCTION mindtickle.cache_changed('catalog');
CREATE TRIGGER cache_truncated AFTER TRUNCATE ON mindtickle.users FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.cache_changed('roster');
CREATE TRIGGER cache_truncated AFTER TRUNCATE ON mindtickle.team FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.cache_changed('roster');
CREATE TRIGGER cache_truncated AFTER TRUNCATE ON mindtickle.team_member FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.cache_changed('roster');
CREATE TRIGGER cache_truncated AFTER TRUNCATE ON mindtickle.course FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.cache_changed('catalog');
CREATE TRIGGER cache_truncated AFTER TRUNCATE ON mindtickle.quiz FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.cache_changed('catalog');

ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER cache_changed, ENABLE ALWAYS TRIGGER cache_truncated;
ALTER TABLE mindtickle.team ENABLE ALWAYS TRIGGER cache_changed, ENABLE ALWAYS TRIGGER cache_truncated;
ALTER TABLE mindtickle.team_member ENABLE ALWAYS TRIGGER cache_changed, ENABLE ALWAYS TRIGGER cache_truncated;
ALTER TABLE mindtickle.course ENABLE ALWAYS TRIGGER cache_changed, ENABLE ALWAYS TRIGGER cache_truncated;
ALTER TABLE mindtickle.quiz ENABLE ALWAYS TRIGGER cache_changed, ENABLE ALWAYS TRIGGER cache_truncated;
