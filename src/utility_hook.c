/*
 * utility_hook.c
 *		Sends our workers out of a database for the commands that need it empty: DROP, RENAME, SET TABLESPACE, and being copied.
 *
 * They come back when the command has ended, whether it succeeded or not. Only for callers who own the database, so that nobody can send
 * workers away with a command that will be refused.
 */
#include "mindtickle.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "shared_state.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"

static ProcessUtility_hook_type previous_utility_hook = NULL;

static bool
owns_database(Oid database)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
	return pg_database_ownercheck(database, GetUserId());
#endif
}

/* Name of the database that a command needs empty, or NULL. */
static const char *
database_to_empty(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			foreach(cell, ((AlterDatabaseStmt *) statement)->options)
				if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
					return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		case T_CreatedbStmt:
			foreach(cell, ((CreatedbStmt *) statement)->options)
				if (strcmp(((DefElem *) lfirst(cell))->defname, "template") == 0)
					return defGetString((DefElem *) lfirst(cell));
			return NULL;
		default:
			return NULL;
	}
}

static void
admit_database(int code, Datum database)
{
	mt_admit_database(DatumGetObjectId(database));
}

static void
process_utility(PlannedStmt *planned, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination, QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility_hook ? previous_utility_hook : standard_ProcessUtility;
	const char *name = database_to_empty(planned->utilityStmt);
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;
	bool		barred = OidIsValid(database) && owns_database(database);

	if (!barred)
	{
		next(planned, query, read_only_tree, context, parameters, environment, destination, completion);
		/* A new database may have come with the extension, from its template. */
		if (IsA(planned->utilityStmt, CreatedbStmt))
			mt_wake_launcher_at_commit();
		return;
	}

	/* Also when the session is terminated in the middle, the workers must be let in again. */
	PG_ENSURE_ERROR_CLEANUP(admit_database, ObjectIdGetDatum(database));
	{
		mt_bar_database(database);
		next(planned, query, read_only_tree, context, parameters, environment, destination, completion);
	}
	PG_END_ENSURE_ERROR_CLEANUP(admit_database, ObjectIdGetDatum(database));
	mt_admit_database(database);
	mt_wake_launcher_at_commit();
}

/*
 * Puts the hook in place. By _PG_init, in the postmaster.
 */
void
mt_install_utility_hook(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
