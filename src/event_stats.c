/*
 * event_stats.c
 *		mt_stat_queue: how many events of each tenant wait where, how far consumers are behind, and what could not be processed.
 *
 * For members of pg_monitor, who see all tenants: their numbers, no payload and nothing of anybody's data. Reads, writes nothing.
 */
#include "mindtickle.h"

#include "access.h"
#include "catalog/pg_type.h"
#include "dead_letter.h"
#include "event_store.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* The column replayed_at of mindtickle.dead_letter. */
#define LETTER_REPLAYED_AT	8

#define STATS_COLUMNS		12

static MtTenantTable letters_table = {.table = {"dead_letter"}};

PG_FUNCTION_INFO_V1(mt_queue_stats);

/* How many dead letters a tenant has, and how many of them have not been replayed. */
static int64
count_letters(const char *tenant, Snapshot snapshot, int64 *waiting)
{
	MtTenantScan scan;
	int64		count = 0;

	*waiting = 0;
	mt_tenant_scan_open(&scan, &letters_table, tenant, snapshot, 0);
	mt_tenant_scan_start(&scan, NULL, 0);
	while (mt_tenant_scan_next(&scan, ForwardScanDirection))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		(void) slot_getattr(scan.slot, LETTER_REPLAYED_AT, &isnull);
		count++;
		*waiting += isnull;
	}
	mt_tenant_scan_close(&scan);
	return count;
}

/*
 * mindtickle.queue_stats() -> setof record: the columns of mt_stat_queue.
 */
Datum
mt_queue_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum	   *tenants;
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *tenant = TextDatumGetCString(tenants[i]);
		MtEventPosition position;
		TimestampTz oldest;
		int64		lag;
		int64		letters_waiting;
		Datum		values[STATS_COLUMNS];
		bool		nulls[STATS_COLUMNS] = {false};

		CHECK_FOR_INTERRUPTS();
		mt_push_event_position(tenant, &position);
		values[0] = tenants[i];
		values[1] = Int64GetDatum(mt_count_waiting(tenant, &position, GetActiveSnapshot(), PG_INT64_MAX, &oldest));
		values[2] = TimestampTzGetDatum(oldest);
		nulls[2] = oldest == 0;
		values[3] = Int64GetDatum(position.overflow);
		values[4] = Int64GetDatum(position.first_seq);
		values[5] = Int64GetDatum(position.last_seq);
		values[6] = Int64GetDatum(position.last_seq - position.first_seq + 1);
		values[7] = Int32GetDatum(mt_count_consumers(tenant, &lag));
		values[8] = Int64GetDatum(lag);
		values[9] = Int64GetDatum(count_letters(tenant, GetActiveSnapshot(), &letters_waiting));
		values[10] = Int64GetDatum(letters_waiting);
		values[11] = BoolGetDatum(letters_waiting >= MT_LETTERS_MAX);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		PopActiveSnapshot();
	}
	/* No number is shown that a crash could take back. */
	mt_flush_events();
	return (Datum) 0;
}
