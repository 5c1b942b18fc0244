/*
 * pulled_page.h
 *		One page of records that a pull has fetched, while it is stored: see pulled_page.c.
 */
#ifndef MT_PULLED_PAGE_H
#define MT_PULLED_PAGE_H

#include "field.h"
#include "progress.h"
#include "service_call.h"
#include "utils/timestamp.h"

/* One page while it is stored. */
typedef struct MtPulledPage
{
	MtServiceCall call;
	const char *tenant;
	Datum		job_id;
	const char *resource;		/* what the records are to become */
	Datum	   *records;		/* bytea */
	int			received;
	int			changed;
	int			rejected;
	int			fresh;
	TimestampTz latest;			/* of the records' own moments; 0: none */
	Datum	   *ids;			/* text, of the records that have one */
	int			id_count;
	int			unidentified;	/* records whose id could not be read */
} MtPulledPage;

extern void mt_page_open(MtPulledPage *page, FunctionCallInfo fcinfo, int records_argument, const char *resource);
extern void mt_page_reject(MtPulledPage *page, int index, const MtFault *fault);
extern Jsonb *mt_page_record(MtPulledPage *page, int index, const char *id_key, MtFields *fields, MtFault *fault);
extern int	mt_page_progress(MtPulledPage *page, MtProgressItem **items);
extern Datum mt_page_ids(const MtPulledPage *page);
extern void mt_page_note_moment(MtPulledPage *page, Datum moment);
extern void mt_page_note_seen(MtPulledPage *page, const char *phase);
extern Datum mt_page_close(MtPulledPage *page, FunctionCallInfo fcinfo);

#endif							/* MT_PULLED_PAGE_H */
