/*
 * readiness_source.h
 *		How far a tenant's readiness can be relied on: see readiness_source.c.
 */
#ifndef MT_READINESS_SOURCE_H
#define MT_READINESS_SOURCE_H

#include "mindtickle.h"

#include "datatype/timestamp.h"
#include "utils/snapshot.h"

typedef struct MtSourceState
{
	bool		pulled;			/* every resource that readiness needs has been pulled once */
	TimestampTz data_as_of;		/* then the oldest of them: what happened upstream before it is here */
	char	   *provisional;	/* in words why the figures are provisional; NULL: they are not */
} MtSourceState;

extern void mt_readiness_source(const char *tenant, Snapshot snapshot, MtSourceState *state);

#endif							/* MT_READINESS_SOURCE_H */
