/*
 * shared_layout.h
 *		What lies in mindtickle's shared memory. For the files that keep it alone: shared_state.c, wake_up.c and worker_report.c.
 *
 * Everything here is guarded by the one lock, and holds no pointer into a process and no descriptor.
 */
#ifndef MT_SHARED_LAYOUT_H
#define MT_SHARED_LAYOUT_H

#include "mindtickle.h"

#include "datatype/timestamp.h"
#include "shared_state.h"
#include "storage/lwlock.h"

/* Bytes of the texts that a worker reports; what is longer is cut. */
#define MT_STEP_SIZE	128
#define MT_ERROR_SIZE	256

/* What a worker says of itself; the figures outlive the process. */
typedef struct WorkerReport
{
	TimestampTz started_at;		/* of the process; 0: there never was one */
	bool		working;
	bool		failing;		/* what it did last has failed */
	int64		rounds;
	int64		items;
	int64		errors;
	TimestampTz last_work_at;	/* 0: never */
	TimestampTz last_error_at;	/* 0: never */
	char		step[MT_STEP_SIZE];
	char		last_error[MT_ERROR_SIZE];
} WorkerReport;

typedef struct WorkerSlot
{
	pid_t		pid;
	int			proc_number;
	uint64		attached;
	WorkerReport report;
} WorkerSlot;

/* Marks for a worker, of tenants that have work for it. */
typedef struct MarkSet
{
	bool		wake;			/* the worker has asked for its latch to be set by the next mark */
	bool		all;
	int			count;
	char		names[MT_MARKS_MAX][MT_TENANT_MAX + 1];
} MarkSet;

typedef struct DatabaseSlot
{
	Oid			database;
	int			barred;			/* how many commands keep the workers out */
	bool		sync_look;		/* a commit has left something for the sync worker to see in the tables */
	WorkerSlot	workers[MT_WORKER_KINDS];
	MarkSet		marks[MT_MARKED_KINDS];
} DatabaseSlot;

typedef struct SharedState
{
	LWLock	   *lock;
	int			launcher_proc_number;	/* -1: no launcher */
	uint64		wake_generation;	/* moves when the launcher must look at everything again */
	DatabaseSlot databases[MT_DATABASES_MAX];
} SharedState;

/* NULL where the library is not preloaded. */
extern SharedState *mt_shared;

/* shared_state.c; the lock is held by the caller */
extern DatabaseSlot *mt_find_database(Oid database, bool make);
extern void mt_wake_launcher_locked(void);

#endif							/* MT_SHARED_LAYOUT_H */
