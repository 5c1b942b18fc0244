/*
 * utility_hook.c
 *		What is done before some commands: workers leave a database, and pooled roles are refused what would stay in their session.
 *
 * Our workers leave a database for the commands that need it empty: DROP, RENAME, SET TABLESPACE, and being copied. They come back when the
 * command has ended, whether it succeeded or not. Only for callers who own the database, so that nobody can send workers away with a command
 * that will be refused.
 *
 * A session of a role whose grants need a token serves one tenant after the other. A prepared statement that SQL of one of them puts in the place
 * of the driver's own would be given the next one's token, and a held cursor shows it the rows of the one before. So such a role may neither
 * PREPARE nor DECLARE ... WITH HOLD; statements that a driver prepares by protocol come by no utility command and have nothing to do with this.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/xact.h"
#include "alert.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "shared_state.h"
#include "spent_table.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"

static ProcessUtility_hook_type previous_utility_hook = NULL;

/* There is a launcher with its workers. */
static bool with_workers = false;

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

/* The command of a statement that leaves something in the session for later transactions to run or to read, or NULL. */
static const char *
command_that_leaves(Node *statement)
{
	if (IsA(statement, PrepareStmt))
		return "PREPARE";
	if (IsA(statement, DeclareCursorStmt) && (((DeclareCursorStmt *) statement)->options & CURSOR_OPT_HOLD) != 0)
		return "DECLARE CURSOR WITH HOLD";
	return NULL;
}

/*
 * ERROR 42501, with an alert, when the role in force or the session's own needs tokens: with SET ROLE, or in a SECURITY DEFINER function, the
 * one is not the other, and what is left can be used with either.
 */
static void
refuse_to_leave(const char *command)
{
	Oid			role = GetUserId();

	if (!mt_role_needs_token(role))
		role = GetSessionUserId();
	if (!mt_role_needs_token(role))
		return;
	mt_alert("", command);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for %s", command),
			 errdetail("Role \"%s\" has a grant that needs a token, so its session may serve another tenant next, to which nothing may be left.",
					   GetUserNameFromId(role, false)),
			 errhint("Statements that the driver prepares by protocol, and cursors that end with the transaction, are not concerned.")));
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
	const char *leaving = command_that_leaves(planned->utilityStmt);
	const char *name = with_workers ? database_to_empty(planned->utilityStmt) : NULL;
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;
	bool		barred = OidIsValid(database) && owns_database(database);

	if (leaving != NULL)
		refuse_to_leave(leaving);
	if (!barred)
	{
		next(planned, query, read_only_tree, context, parameters, environment, destination, completion);
		/* A new database may have come with the extension, from its template. */
		if (with_workers && IsA(planned->utilityStmt, CreatedbStmt))
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
	if (IsA(planned->utilityStmt, DropdbStmt))
		mt_forget_spent_tables();
	mt_admit_database(database);
	mt_wake_launcher_at_commit();
}

/*
 * Puts the hook in place. By _PG_init, in the postmaster, or without the preload in a backend, where no worker is.
 */
void
mt_install_utility_hook(bool preloaded)
{
	with_workers = preloaded;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
