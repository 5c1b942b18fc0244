/*
 * readiness_people.c
 *		Whether users are there and active, which decides whether their rows count.
 *
 * Each delta needs its user looked up, by readers and by the aggregator, and users hardly ever change. So a process remembers some answers. They hold for
 * every snapshot whose summary has taken in the same changes of users and which shows no others: a summary says since which transaction its users are
 * the same, and that transaction has written the summary of no other tenant. A transaction that has written looks everything up and remembers nothing,
 * since in the midst of a statement it may see what no delta tells of yet.
 *
 * Called by readiness_change.c. Reads, writes nothing.
 */
#include "readiness_people.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "readiness_row.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

/* Users that are remembered at once, each in the place that a hash says; longer ids are not. */
#define PLACES		4096
#define ID_MAX		45

MtTenantTable mt_users_table = {{"users"}, {"users_pkey"}};

typedef struct Place
{
	uint64		since;			/* users_since of the summary; 0: free */
	MtUserState state;
	uint8		length;
	char		id[ID_MAX];
} Place;

/* In TopMemoryContext; NULL: nothing yet. */
static Place *places = NULL;

/*
 * Begins to look up users of a tenant as the snapshot shows them. summary is the newest that it shows, changed whether it also shows changes of users
 * that the summary has not taken in.
 */
void
mt_people_begin(MtPeople *people, const char *tenant, Snapshot snapshot, const MtSummary *summary, bool changed)
{
	people->tenant = tenant;
	people->snapshot = snapshot;
	people->open = false;
	people->since = summary->found && !changed && !FullTransactionIdIsValid(GetTopFullTransactionIdIfAny()) ? summary->users_since : 0;
	if (places == NULL && people->since != 0)
		places = MemoryContextAllocZero(TopMemoryContext, sizeof(Place) * PLACES);
}

static MtUserState
read_user(MtPeople *people, MtId user)
{
	MtUserState state = {0};
	ScanKeyData key;

	if (!people->open)
		mt_tenant_scan_open(&people->scan, &mt_users_table, people->tenant, people->snapshot, 1);
	people->open = true;
	mt_tenant_key(&key, 2, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(cstring_to_text_with_len(user.bytes, user.length)));
	mt_tenant_scan_start(&people->scan, &key, 1);
	if (mt_tenant_scan_next(&people->scan, ForwardScanDirection))
	{
		MtEntry		entry = {0};

		mt_read_user_row(people->scan.slot, &entry, 1);
		state.present = true;
		state.active = entry.active > 0;
	}
	return state;
}

/*
 * A user, whether he is there or not. ERROR like mt_tenant_scan_open.
 */
MtUserState
mt_look_up_user(MtPeople *people, MtId user)
{
	Place	   *place;

	if (people->since == 0 || user.length > ID_MAX)
		return read_user(people, user);
	place = &places[(hash_bytes((const unsigned char *) user.bytes, user.length) + (uint32) people->since) % PLACES];
	if (place->since != people->since || place->length != user.length || memcmp(place->id, user.bytes, user.length) != 0)
	{
		MtUserState state = read_user(people, user);

		place->since = people->since;
		place->state = state;
		place->length = (uint8) user.length;
		memcpy(place->id, user.bytes, user.length);
	}
	return place->state;
}

/*
 * Ends the looking up.
 */
void
mt_people_end(MtPeople *people)
{
	if (people->open)
		mt_tenant_scan_close(&people->scan);
}
