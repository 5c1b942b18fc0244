/*
 * readiness_people.c
 *		Whether users are there and active, which decides whether their rows count, and whether they have rows, which makes a learner of who is not there.
 *
 * Each delta needs its user looked up, by readers and by the aggregator, while users hardly ever change and rows hardly ever go. So a process remembers
 * some answers. They hold for every snapshot whose summary has taken in the same such changes and which shows no others: a summary says since which
 * transaction there were none, and that transaction has written the summary of no other tenant, not even of an earlier one of the same name. Rows may
 * come all the same: that a user had some holds for the summary of which it was found out, and later ones. A transaction that has written looks
 * everything up and remembers nothing, since in the midst of a statement it may see what no delta tells of yet.
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
#define ID_MAX		44

MtTenantTable mt_users_table = {.table = {"users"}};

typedef struct Place
{
	uint64		since;			/* people_since of the summary; 0: free */
	int64		rows_from;		/* from this fold on he had rows; PG_INT64_MAX: not that we know */
	bool		present;
	bool		active;
	uint8		length;
	char		id[ID_MAX];
} Place;

/* In TopMemoryContext; NULL: nothing yet. */
static Place *places = NULL;

/*
 * Begins to look up users of a tenant as the snapshot shows them. summary is the newest that it shows, changed whether it also shows that users
 * changed or rows went and the summary has not taken that in.
 */
void
mt_people_begin(MtPeople *people, const char *tenant, Snapshot snapshot, const MtSummary *summary, bool changed)
{
	people->tenant = tenant;
	people->snapshot = snapshot;
	people->open = false;
	people->since = summary->found && !changed && !FullTransactionIdIsValid(GetTopFullTransactionIdIfAny()) ? summary->people_since : 0;
	people->fold = summary->fold;
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

/* The place where a user is, or would be. NULL where nothing can be remembered of him. */
static Place *
place_of(const MtPeople *people, MtId user)
{
	if (people->since == 0 || user.length > ID_MAX)
		return NULL;
	return &places[(hash_bytes((const unsigned char *) user.bytes, user.length) + (uint32) people->since) % PLACES];
}

static bool
is_in_place(const MtPeople *people, MtId user, const Place *place)
{
	return place != NULL && place->since == people->since && place->length == user.length && memcmp(place->id, user.bytes, user.length) == 0;
}

/*
 * A user, whether he is there or not. ERROR like mt_tenant_scan_open.
 */
MtUserState
mt_look_up_user(MtPeople *people, MtId user)
{
	Place	   *place = place_of(people, user);
	MtUserState state;

	if (is_in_place(people, user, place))
		return (MtUserState) {place->present, place->active, place->rows_from <= people->fold};
	state = read_user(people, user);
	if (place != NULL)
	{
		place->since = people->since;
		place->rows_from = PG_INT64_MAX;
		place->present = state.present;
		place->active = state.active;
		place->length = (uint8) user.length;
		memcpy(place->id, user.bytes, user.length);
	}
	return state;
}

/*
 * Remembers that a user, who was looked up before, had rows when the summary was made.
 */
void
mt_remember_rows(MtPeople *people, MtId user)
{
	Place	   *place = place_of(people, user);

	if (is_in_place(people, user, place))
		place->rows_from = Min(place->rows_from, people->fold);
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
