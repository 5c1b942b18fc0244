/*
 * tenant_table.h
 *		Reading and appending rows of one tenant without the executor: see tenant_table.c.
 */
#ifndef MT_TENANT_TABLE_H
#define MT_TENANT_TABLE_H

#include "mindtickle.h"

#include "access/genam.h"
#include "access/htup.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* A relation of schema mindtickle by name; its oid is looked up once a generation of access.c. */
typedef struct MtRelationName
{
	const char *name;
	uint64		generation;
	Oid			oid;
} MtRelationName;

/* A table and the index by which it is read, which leads with tenant_id. */
typedef struct MtTenantTable
{
	MtRelationName table;
	const char *index;			/* NULL: the primary key */
} MtTenantTable;

/* A scan of one tenant's rows. */
typedef struct MtTenantScan
{
	const char *tenant;
	Relation	relation;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
} MtTenantScan;

/* Rows that are appended together. */
#define MT_ROWS_TOGETHER	64

/* Appends many rows to a table. */
typedef struct MtTenantWriter
{
	Relation	relation;
	Relation	index;			/* the only one; NULL: there are others */
	IndexInfo  *index_info;
	int			waiting;		/* rows in slots that are not in the table yet */
	TupleTableSlot *slots[MT_ROWS_TOGETHER];
} MtTenantWriter;

/* Further key columns of a scan, after tenant_id. */
#define MT_SCAN_KEYS_MAX	4

extern Oid	mt_relation_oid(MtRelationName *relation);
extern Oid	mt_tenant_table_index(Relation relation);
extern IndexScanDesc mt_index_beginscan(Relation relation, Relation index, Snapshot snapshot, int keys);
extern void mt_tenant_scan_open(MtTenantScan *scan, MtTenantTable *table, const char *tenant, Snapshot snapshot, int keys);
extern void mt_tenant_scan_start(MtTenantScan *scan, const ScanKeyData *keys, int count);
extern bool mt_tenant_scan_next(MtTenantScan *scan, ScanDirection direction);
extern void mt_tenant_scan_close(MtTenantScan *scan);
extern void mt_tenant_key(ScanKey key, AttrNumber column, StrategyNumber strategy, RegProcedure function, Datum value);
extern bool mt_tenant_scan_delete(MtTenantScan *scan);
extern TransactionId mt_tenant_table_altered_by(Oid relation);
extern bool mt_relation_locked_here(Oid relation, LOCKMODE mode);
extern bool mt_tenant_table_newer(Oid relation, Snapshot snapshot);
extern void mt_tenant_table_append(MtTenantTable *table, Datum *values, bool *nulls);
extern void mt_tenant_writer_open(MtTenantWriter *writer, MtTenantTable *table);
extern void mt_tenant_writer_add(MtTenantWriter *writer, Datum *values, bool *nulls);
extern void mt_tenant_writer_close(MtTenantWriter *writer);
extern bool mt_read_newest(MtTenantTable *tables, int count, const char *tenant, const ScanKeyData *keys, int key_count, Snapshot snapshot,
						   Datum *values, bool *nulls, int *found_in, TransactionId *written_by);

#endif							/* MT_TENANT_TABLE_H */
