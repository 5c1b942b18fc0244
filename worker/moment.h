/*
 * moment.h
 *		Moments in answers: see moment.c.
 */
#ifndef MT_MOMENT_H
#define MT_MOMENT_H

#include "postgres.h"

#include "answer.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

extern bool mt_read_moment(MtSpan string, TimestampTz *moment);
extern void mt_append_moment(StringInfo object, TimestampTz moment);

#endif							/* MT_MOMENT_H */
