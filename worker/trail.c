/*
 * trail.c
 *		What an item has of its pages: where they went on, so that none is followed twice, and records that are stored once the last page is there.
 *
 * Called by tenant_store.c and tenant_records.c. A far side that means harm may go on for ever, so a trail has an end, and all trails of the process
 * together have no more memory than they may, whatever the number of tenants (large.c). Knows neither tenants nor contracts.
 */
#include "trail.h"

#include "common/hashfn.h"
#include "large.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Most pages of an item; most bytes that the records of all items take. */
#define PAGES_MAX		1000
#define ALL_BYTES_MAX	((Size) 16 * 1024 * 1024)

/* What all trails take. */
static Size all_bytes = 0;

/* Counts what the trail takes now. */
static void
count_bytes(MtTrail *trail, Size bytes)
{
	mt_large_note(&all_bytes, trail->bytes, bytes);
	trail->bytes = bytes;
}

/*
 * Begins a trail. mt_trail_end must end it before its parent is deleted.
 */
MtTrail *
mt_trail_begin(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "mindtickle pages of an item", ALLOCSET_SMALL_SIZES);
	MtTrail    *trail = MemoryContextAllocZero(context, sizeof(MtTrail));

	trail->context = context;
	trail->kept = AllocSetContextCreate(context, "mindtickle records of an item", ALLOCSET_SMALL_SIZES);
	return trail;
}

/*
 * Notes a continuation. False when it was followed before, or there have been too many.
 */
bool
mt_trail_note(MtTrail *trail, const char *url)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) url, (int) strlen(url), 0);

	for (int i = 0; i < trail->pages; i++)
		if (trail->urls[i] == hash)
			return false;
	if (trail->pages == PAGES_MAX)
		return false;
	if (trail->pages == trail->pages_room)
	{
		trail->pages_room = Max(2 * trail->pages_room, 16);
		trail->urls = trail->urls == NULL ? MemoryContextAlloc(trail->context, sizeof(uint64) * (Size) trail->pages_room) :
			repalloc(trail->urls, sizeof(uint64) * (Size) trail->pages_room);
	}
	trail->urls[trail->pages++] = hash;
	return true;
}

/*
 * Keeps a copy of a record, a bytea.
 */
void
mt_trail_keep(MtTrail *trail, Datum record)
{
	Size		size = VARSIZE_ANY(DatumGetPointer(record));
	char	   *copy = MemoryContextAlloc(trail->kept, size);

	memcpy(copy, DatumGetPointer(record), size);
	if (trail->count == trail->room)
	{
		trail->room = Max(2 * trail->room, 64);
		trail->records = trail->records == NULL ? MemoryContextAlloc(trail->kept, sizeof(Datum) * (Size) trail->room) :
			repalloc(trail->records, sizeof(Datum) * (Size) trail->room);
	}
	trail->records[trail->count++] = PointerGetDatum(copy);
}

/*
 * May the records of another page be kept?
 */
MtTrailRoom
mt_trail_room(MtTrail *trail)
{
	count_bytes(trail, MemoryContextMemAllocated(trail->kept, true));
	if (trail->bytes > MT_TRAIL_BYTES_MAX)
		return MT_TRAIL_FULL;
	return all_bytes > ALL_BYTES_MAX || mt_large_crowded() ? MT_TRAIL_CROWDED : MT_TRAIL_ROOM;
}

/*
 * Forgets the records; the continuations stay.
 */
void
mt_trail_empty(MtTrail *trail)
{
	MemoryContextReset(trail->kept);
	trail->records = NULL;
	trail->count = trail->room = 0;
	count_bytes(trail, 0);
}

/*
 * Ends a trail.
 */
void
mt_trail_end(MtTrail *trail)
{
	count_bytes(trail, 0);
	MemoryContextDelete(trail->context);
}
