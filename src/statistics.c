/*
 * statistics.c
 *		What the planner is told of a tenant's columns: nothing of what other tenants have in them.
 *
 * ANALYZE samples the rows of all tenants. Its lists of common values and its histograms come out in the estimates of EXPLAIN and of
 * debug_print_plan, where equality and order of text, being leakproof, are looked up in them before row security has decided: one could try
 * names of tenants and e-mail addresses. So the planner is given a copy of a column's statistics that tells of the column as a whole only:
 * width, share of nulls, number of different values, correlation. Of tenant_id it holds the share of the tenant in force and nothing else, so
 * that the estimate of the policy itself is right.
 *
 * That holds for every table of schema mindtickle and every role that row security binds. The service role has the whole statistics while no
 * tenant is in force, as the workers need; in a function that a tenant calls, one is, and debug_print_plan shows its plans to the caller.
 *
 * Called by the planner for each column that it looks at, so whose table it is must be found out cheaply. Extended statistics do not pass these
 * hooks: none are made, and mt_check() finds those of others. Raises no error of its own.
 */
#include "statistics.h"

#include "access.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "api_version.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "parser/parse_relation.h"
#include "tenant_context.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

static get_relation_stats_hook_type previous_relation_hook = NULL;
static get_index_stats_hook_type previous_index_hook = NULL;

/* True for a table of schema mindtickle, where that is the extension's. */
static bool
is_ours(Oid table)
{
	static Oid	known_schema = InvalidOid;
	Oid			schema;

	if (table < FirstNormalObjectId)
		return false;
	schema = get_namespace_oid("mindtickle", true);
	if (!OidIsValid(schema) || get_rel_namespace(table) != schema)
		return false;
	/* The schema goes with the extension, so one that was its own is so for good. */
	if (schema != known_schema && OidIsValid(mt_extension_owner()))
		known_schema = schema;
	return schema == known_schema;
}

/* The role whose rights to the table are checked: of a view's owner, or the current one. */
static Oid
role_checked(PlannerInfo *root, RangeTblEntry *rte)
{
	Oid			role = InvalidOid;

#if PG_VERSION_NUM >= 160000
	if (rte->perminfoindex != 0)
		role = getRTEPermissionInfo(root->parse->rteperminfos, rte)->checkAsUser;
#else
	role = rte->checkAsUser;
#endif
	return OidIsValid(role) ? role : GetUserId();
}

/* True when the planner may not be told all. Then *tenant is the one in force, or NULL. */
static bool
is_restricted(PlannerInfo *root, RangeTblEntry *rte, const char **tenant)
{
	Oid			role;

	if (rte->rtekind != RTE_RELATION || !is_ours(rte->relid))
		return false;
	role = role_checked(root, rte);
	if (has_bypassrls_privilege(role))
		return false;
	/* As the policy has it: of the current role, whoever owns the view. */
	*tenant = mt_tenant_in_force_quietly();
	return *tenant != NULL || role != mt_service_role(true);
}

/* Which part of a column's values the tenant is, by the planner's own rules. rows: of the table. */
static float4
share_of_tenant(HeapTuple statistics, const char *tenant, double rows)
{
	Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(statistics);
	double		distinct = form->stadistinct >= 0 ? form->stadistinct : -form->stadistinct * rows;
	double		rest = 1.0 - form->stanullfrac;
	double		least = 1.0;
	double		share = -1.0;
	AttStatsSlot common;

	if (get_attstatsslot(&common, statistics, STATISTIC_KIND_MCV, InvalidOid, ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
	{
		for (int i = 0; i < Min(common.nvalues, common.nnumbers); i++)
		{
			if (strcmp(TextDatumGetCString(common.values[i]), tenant) == 0)
				share = common.numbers[i];
			rest -= common.numbers[i];
			least = common.numbers[i];
		}
		distinct -= common.nvalues;
		free_attstatsslot(&common);
	}
	if (share < 0)
		share = Min(Max(rest, 0.0) / Max(distinct, 1.0), least);
	return (float4) share;
}

static void
set_slot(Datum *values, bool *nulls, int slot, int kind, Oid operator, Oid collation)
{
	values[Anum_pg_statistic_stakind1 - 1 + slot] = Int16GetDatum(kind);
	values[Anum_pg_statistic_staop1 - 1 + slot] = ObjectIdGetDatum(operator);
	values[Anum_pg_statistic_stacoll1 - 1 + slot] = ObjectIdGetDatum(collation);
	nulls[Anum_pg_statistic_stanumbers1 - 1 + slot] = (kind == 0);
	nulls[Anum_pg_statistic_stavalues1 - 1 + slot] = (kind == 0);
}

/* Makes the tenant the one value of the column that is known. The slot is a free one. */
static void
put_tenant(Datum *values, bool *nulls, int slot, const char *tenant, float4 share)
{
	Datum		value = CStringGetTextDatum(tenant);
	Datum		number = Float4GetDatum(share);

	set_slot(values, nulls, slot, STATISTIC_KIND_MCV, TextEqualOperator, C_COLLATION_OID);
	values[Anum_pg_statistic_stavalues1 - 1 + slot] = PointerGetDatum(construct_array(&value, 1, TEXTOID, -1, false, TYPALIGN_INT));
	values[Anum_pg_statistic_stanumbers1 - 1 + slot] =
		PointerGetDatum(construct_array(&number, 1, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}

/*
 * A copy of a column's statistics without values of its rows. of_tenants: it is a column of tenants, of which there is one, in force or NULL.
 */
static HeapTuple
copy_without_values(HeapTuple statistics, bool of_tenants, const char *tenant, double rows)
{
	Relation	catalog = table_open(StatisticRelationId, AccessShareLock);
	Datum		values[Natts_pg_statistic];
	bool		nulls[Natts_pg_statistic];
	int			free_slot = 0;
	HeapTuple	copy;

	heap_deform_tuple(statistics, RelationGetDescr(catalog), values, nulls);
	for (int slot = STATISTIC_NUM_SLOTS - 1; slot >= 0; slot--)
	{
		if (DatumGetInt16(values[Anum_pg_statistic_stakind1 - 1 + slot]) == STATISTIC_KIND_CORRELATION)
			continue;
		set_slot(values, nulls, slot, 0, InvalidOid, InvalidOid);
		free_slot = slot;
	}
	if (of_tenants)
		values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(1.0);
	if (of_tenants && tenant != NULL)
		put_tenant(values, nulls, free_slot, tenant, share_of_tenant(statistics, tenant, rows));
	copy = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
	table_close(catalog, AccessShareLock);
	return copy;
}

/* Puts the copy in the place of the whole. Only leakproof operators may look at it, as ever under row security. */
static void
restrict_statistics(VariableStatData *vardata, bool of_tenants, const char *tenant)
{
	HeapTuple	whole = vardata->statsTuple;

	if (!HeapTupleIsValid(whole))
		return;
	vardata->statsTuple = copy_without_values(whole, of_tenants, tenant, vardata->rel != NULL ? vardata->rel->tuples : 1.0);
	vardata->freefunc(whole);
	vardata->freefunc = heap_freetuple;
	vardata->acl_ok = false;
}

static bool
is_tenant_column(Oid table, AttrNumber column)
{
	char	   *name = get_attname(table, column, true);

	return name != NULL && strcmp(name, "tenant_id") == 0 && get_atttype(table, column) == TEXTOID;
}

/* Hook: statistics of a table's column. */
static bool
relation_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber column, VariableStatData *vardata)
{
	bool		given = previous_relation_hook && previous_relation_hook(root, rte, column, vardata);
	const char *tenant;

	if (!is_restricted(root, rte, &tenant))
		return given;
	if (!given)
	{
		vardata->statsTuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(rte->relid), Int16GetDatum(column), BoolGetDatum(rte->inh));
		vardata->freefunc = ReleaseSysCache;
	}
	restrict_statistics(vardata, is_tenant_column(rte->relid, column), tenant);
	return true;
}

/* Hook: statistics of an index's expression. Restricted where the table is, in any of its places in the query. */
static bool
index_statistics(PlannerInfo *root, Oid index, AttrNumber column, VariableStatData *vardata)
{
	bool		given = previous_index_hook && previous_index_hook(root, index, column, vardata);
	Oid			table = IndexGetRelation(index, true);
	bool		restricted = false;
	const char *tenant;

	for (int i = 1; i < root->simple_rel_array_size && !restricted; i++)
	{
		RangeTblEntry *rte = root->simple_rte_array[i];

		restricted = rte != NULL && rte->rtekind == RTE_RELATION && rte->relid == table && is_restricted(root, rte, &tenant);
	}
	if (!restricted)
		return given;
	if (!given)
	{
		vardata->statsTuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(index), Int16GetDatum(column), BoolGetDatum(false));
		vardata->freefunc = ReleaseSysCache;
	}
	restrict_statistics(vardata, false, NULL);
	return true;
}

/*
 * Puts the hooks in place. By _PG_init.
 */
void
mt_install_statistics_hooks(void)
{
	previous_relation_hook = get_relation_stats_hook;
	get_relation_stats_hook = relation_statistics;
	previous_index_hook = get_index_stats_hook;
	get_index_stats_hook = index_statistics;
}
