/*
 * process.h
 *		What every worker process does alike: see process.c.
 */
#ifndef MT_PROCESS_H
#define MT_PROCESS_H

#include "postgres.h"

/* Why a transaction was rolled back: fit for a log and for a tenant's error column. */
typedef struct MtFailure
{
	int			sqlstate;
	char		text[400];
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
extern bool mt_in_repeatable_transaction(MtWork work, void *argument, MtFailure *failure);
extern bool mt_in_snapshot(MtWork work, void *argument, MtFailure *failure);
extern uint64 mt_transaction_count(void);
extern void mt_worker_judge(const MtFailure *failure);
extern int64 mt_jitter(int64 pause);

#endif							/* MT_PROCESS_H */
