/*
 * shared_state.h
 *		Shared memory of mindtickle: see shared_state.c, wake_up.c and worker_report.c.
 */
#ifndef MT_SHARED_STATE_H
#define MT_SHARED_STATE_H

#include "mindtickle.h"

/* Databases that can have workers. */
#define MT_DATABASES_MAX	64
/* Processes of the HTTP gateway. */
#define MT_GATEWAYS_MAX		8
/* Tenants of a database that can be marked at once; more means all of them. */
#define MT_MARKS_MAX		128

/*
 * Marks for the aggregator that are no tenant's: it looks again at when days end, and at which reports are to be renewed; somebody has had to add up
 * many deltas himself.
 */
#define MT_MARK_ALERTS		"#alerts"
#define MT_MARK_DAYS		"#days"
#define MT_MARK_RERUNS		"#reruns"
#define MT_MARK_READS		"#reads"

typedef enum MtWorkerKind
{
	MT_WORKER_PUBLISHER,
	MT_WORKER_AGGREGATOR,
	MT_WORKER_SYNC,
	MT_WORKER_GATEWAY,			/* the first of MT_GATEWAYS_MAX that are alike */
	MT_WORKER_KINDS = MT_WORKER_GATEWAY + MT_GATEWAYS_MAX
} MtWorkerKind;

/* What the launcher knows of a worker, from shared memory. */
typedef struct MtWorkerView
{
	pid_t		pid;			/* 0: none is attached */
	uint64		attached;		/* how often one has attached */
} MtWorkerView;

/* shared memory itself */
extern void mt_request_shared_state(void);
extern const char *mt_worker_kind_name(MtWorkerKind kind);
extern int	mt_my_proc_number(void);
extern void mt_set_latch_of(int proc_number);

/* for the launcher */
extern void mt_launcher_attach(void);
extern bool mt_worker_view(Oid database, MtWorkerKind kind, MtWorkerView *view);
extern bool mt_database_barred(Oid database);
extern void mt_forget_database(Oid database);
extern bool mt_send_workers_away(Oid database);
extern uint64 mt_wake_generation(void);

/* for the hook on database commands */
extern void mt_bar_database(Oid database);
extern void mt_admit_database(Oid database);

/* for alerts */
extern void mt_wake_worker_now(MtWorkerKind kind);
extern void mt_mark_alerts(void);

/* for functions that leave work for a worker; all take effect at commit */
extern void mt_mark_tenant(const char *tenant);
extern void mt_mark_readiness(const char *tenant);
extern void mt_mark_push(const char *tenant);
extern void mt_wake_worker_at_commit(MtWorkerKind kind);
extern void mt_wake_launcher_at_commit(void);

#endif							/* MT_SHARED_STATE_H */
