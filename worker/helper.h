/*
 * helper.h
 *		What takes long, beside the worker that has it done: see helper.c.
 */
#ifndef MT_HELPER_H
#define MT_HELPER_H

#include "postgres.h"

/* What a helper does, and with what. */
typedef enum MtHelperTask
{
	MT_COUNT_ANEW,				/* counts a tenant's rows */
	MT_MOVE_DETAILS,			/* moves the figures of a tenant's users and courses to the tables in use */
	MT_EMPTY_TABLE				/* empties a table of events */
} MtHelperTask;

extern bool mt_helper_running(void);
extern bool mt_helper_start(MtHelperTask task, const char *object, bool again);

#endif							/* MT_HELPER_H */
