/*
 * canonical.h
 *		Writing requests and records: what the adapters have in common. See canonical.c.
 */
#ifndef MT_CANONICAL_H
#define MT_CANONICAL_H

#include "postgres.h"

#include "answer.h"
#include "lib/stringinfo.h"

extern void mt_append_span(StringInfo text, MtSpan span);
extern void mt_append_name(StringInfo object, const char *name);
extern void mt_append_identifier(StringInfo object, MtSpan value);
extern void mt_append_number(StringInfo object, MtSpan value);
extern void mt_append_percent_encoded(StringInfo url, const char *text);

#endif							/* MT_CANONICAL_H */
