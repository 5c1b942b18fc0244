/*
 * process.h
 *		What every worker process does alike: see process.c.
 */
#ifndef MT_PROCESS_H
#define MT_PROCESS_H

#include "postgres.h"

/* Why a transaction was rolled back. text is fit for a log and for a tenant's error column; the rest is for him alone whose data it was about. */
typedef struct MtFailure
{
	int			sqlstate;
	char		text[400];
	char		message[400];
	char		field[100];		/* the field at fault; empty: none is named */
	char		hint[200];
} MtFailure;

/* Work for one transaction; SPI is connected. */
typedef void (*MtWork) (void *argument);

extern void mt_worker_start(Oid database, const char *kind, const char *title);
extern void mt_worker_end_without_extension(void);
extern void mt_worker_service(void);
extern void mt_worker_do_last(MtWork work, void *argument);
extern void mt_worker_idle(const char *text);
extern void mt_worker_busy(const char *text);
extern bool mt_in_transaction(MtWork work, void *argument, MtFailure *failure);
extern bool mt_in_unflushed_transaction(MtWork work, void *argument, MtFailure *failure);
extern bool mt_in_snapshot(MtWork work, void *argument, MtFailure *failure);
extern bool mt_try_transaction(MtWork work, void *argument, MtFailure *failure);
extern void mt_worker_report_failure(MtFailure *failure);
extern void mt_worker_end_gently(void);
extern bool mt_worker_end_ordered(void);
extern bool mt_worker_ready(void);
extern uint64 mt_transaction_count(void);
extern void mt_worker_judge(const MtFailure *failure);
extern int64 mt_jitter(int64 pause);

#endif							/* MT_PROCESS_H */
