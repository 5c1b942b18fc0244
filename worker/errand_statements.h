/*
 * errand_statements.h
 *		What the sync worker asks of the extension for requests that somebody waits for, and for pushes: see errand_statements.c.
 */
#ifndef MT_ERRAND_STATEMENTS_H
#define MT_ERRAND_STATEMENTS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "statements.h"

/* A request as it was taken. */
typedef struct MtRequestRow
{
	int64		ticket;
	char	   *tenant_id;
	char	   *kind;
	char	   *subject;
	TimestampTz ends_at;
} MtRequestRow;

typedef void (*MtRequestVisitor) (const MtRequestRow *row, void *argument);

/* How a request ends. */
typedef struct MtRequestEnd
{
	int			sqlstate;		/* 0: well */
	const char *text;			/* the answer, or the error's message */
	const char *hint;			/* NULL: none */
} MtRequestEnd;

/* A user as an id means him; texts are NULL where they are not known. */
typedef struct MtErrandUser
{
	char	   *user_id;
	char	   *mindtickle_id;
	char	   *email;
} MtErrandUser;

/* A user to be pushed; texts are NULL where they are not known. */
typedef struct MtPushRow
{
	char	   *user_id;
	int64		version;
	char	   *user_name;
	char	   *external_id;
	char	   *name;
	bool		active;
	char	   *scim_id;
} MtPushRow;

extern bool mt_sql_take_sync_look(void);
extern int	mt_sql_take_push_marks(MemoryContext context, char ***tenants);
extern void mt_sql_take_requests(MtRequestVisitor visitor, void *argument);
extern void mt_sql_request_step(int64 ticket, const char *step);
extern int	mt_sql_requests_gone(const int64 *tickets, int count, int64 *gone);
extern void mt_sql_finish_request(int64 ticket, const MtRequestEnd *end);
extern bool mt_sql_sync_errand(const char *tenant, MemoryContext context, MtJobRow *row);
extern void mt_sql_probe_source(const char *tenant, MemoryContext context, char **settings, char **credential, char **obstacle,
								char **unreadable);
extern char *mt_sql_rest_reason(const char *tenant, TimestampTz *until);
extern bool mt_sql_errand_user(const char *tenant, const char *id, MemoryContext context, MtErrandUser *user);
extern void mt_sql_progress_pulled(const char *tenant, const char *user_id);

extern int	mt_sql_push_next(const char *tenant, const char *const *under_way, int under_way_count, int limit, MtPushRow **rows);
extern TimestampTz mt_sql_push_due(const char *tenant);
extern char *mt_sql_push_owner(const char *tenant, const char *user_id, const char *scim_id, const char *external_id, MemoryContext context);
extern void mt_sql_push_done(const char *tenant, const char *user_id, int64 version, const char *scim_id);
extern void mt_sql_push_name_freed(const char *tenant, const char *user_name);
extern void mt_sql_push_put_off(const char *tenant, const char *user_id, int64 version, const char *error, const char *sent);
extern void mt_sql_push_reject(const char *tenant, const char *user_id, int64 version, const char *reason, const char *sent);
extern void mt_sql_push_refused(const char *tenant, const char *error);

#endif							/* MT_ERRAND_STATEMENTS_H */
