/*
 * api_version.c
 *		Does this library fit the SQL of the extension in this database?
 *
 * The package may be upgraded while ALTER EXTENSION has not run yet, or the reverse. The extension's version in pg_extension is the SQL
 * side's statement; the library has a list of those that it can serve. access.c asks before it reads any table; the workers ask and wait.
 */
#include "api_version.h"

#include "access.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

/* Versions of the SQL that this library serves, the newest first. */
static const char *const served_versions[] = {MT_EXTENSION_VERSION};

PG_FUNCTION_INFO_V1(mt_library_version);
PG_FUNCTION_INFO_V1(mt_worker_state);

/*
 * Reads the extension's row. False where the extension is not there; else its owner and its version, the latter palloc'd.
 */
static bool
read_extension(Oid *owner, char **version)
{
	Relation	relation;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		found = false;

	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("mindtickle"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &isnull);

		found = true;
		*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		*version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

/*
 * NULL when library and SQL fit, else in words why they do not, palloc'd.
 */
char *
mt_api_version_problem(void)
{
	Oid			owner;
	char	   *version;

	if (!read_extension(&owner, &version))
		return pstrdup("the extension mindtickle is not in this database");
	for (int i = 0; i < (int) lengthof(served_versions); i++)
		if (strcmp(version, served_versions[i]) == 0)
			return NULL;
	return psprintf("the library of mindtickle is version %s, the extension in this database is version %s",
					MT_EXTENSION_VERSION, version);
}

/*
 * ERROR 55000 when library and SQL do not fit.
 */
void
mt_check_api_version(void)
{
	char	   *problem = mt_api_version_problem();

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", problem),
				 errhint("Install the files of one release, restart the server, and run ALTER EXTENSION mindtickle UPDATE.")));
}

/*
 * Oid of the role that owns the extension; InvalidOid where it is not there.
 */
Oid
mt_extension_owner(void)
{
	Oid			owner;
	char	   *version;

	return read_extension(&owner, &version) ? owner : InvalidOid;
}

/*
 * mindtickle.library_version() -> text
 */
Datum
mt_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(MT_EXTENSION_VERSION));
}

/*
 * mindtickle.worker_state() -> text: for a worker, before it acts as the service role: 'ready:<role>', or 'version:' or 'role:' and what is to
 * be done first.
 */
Datum
mt_worker_state(PG_FUNCTION_ARGS)
{
	char	   *problem = mt_api_version_problem();

	if (problem != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("version: %s", problem)));
	if (!OidIsValid(mt_service_role(true)))
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("role: the service role is missing; as the owner of the extension: "
												  "CREATE ROLE %s NOLOGIN; SELECT mt_setup();",
												  quote_identifier(mt_setting_service_role))));
	if (!mt_service_role_ready())
		PG_RETURN_TEXT_P(cstring_to_text("role: the service role is not set up; as the owner of the extension: SELECT mt_setup();"));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("ready:%s", mt_setting_service_role)));
}
