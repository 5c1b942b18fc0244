/*
 * trail.h
 *		What an item has of its earlier pages: see trail.c.
 */
#ifndef MT_TRAIL_H
#define MT_TRAIL_H

#include "postgres.h"

typedef struct MtTrail
{
	MemoryContext context;
	MemoryContext kept;			/* the records */
	Datum	   *records;		/* bytea, in our data model; only where they are stored together */
	int			count;
	int			room;			/* for so many */
	Size		bytes;			/* that count in the sum of all trails */
	uint64	   *urls;			/* hashes of the continuations */
	int			pages;
	int			pages_room;
} MtTrail;

/* Most bytes that the records of an item take. */
#define MT_TRAIL_BYTES_MAX	((Size) 4 * 1024 * 1024)

typedef enum MtTrailRoom
{
	MT_TRAIL_ROOM,				/* for more */
	MT_TRAIL_FULL,				/* this one has as much as one may have */
	MT_TRAIL_CROWDED			/* all together have */
} MtTrailRoom;

extern MtTrail *mt_trail_begin(MemoryContext parent);
extern bool mt_trail_note(MtTrail *trail, const char *url);
extern void mt_trail_keep(MtTrail *trail, Datum record);
extern MtTrailRoom mt_trail_room(MtTrail *trail);
extern void mt_trail_empty(MtTrail *trail);
extern void mt_trail_end(MtTrail *trail);

#endif							/* MT_TRAIL_H */
