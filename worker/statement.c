/*
 * statement.c
 *		Runs a kept statement, and reads its result.
 *
 * Called inside mt_in_transaction by the files that hold the workers' SQL. A plan is prepared at the first use and kept for the life of the process.
 * Mind that SPI leaves its own memory context as the current one, whichever it was before.
 */
#include "statement.h"

/*
 * Runs the statement; the result is in SPI_tuptable, SPI_processed.
 */
void
mt_run(MtStatement *statement, Datum *values, const char *nulls)
{
	int			result;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->argument_count, statement->arguments);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		statement->plan = plan;
	}
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
}

/*
 * Runs a statement that returns one row.
 */
void
mt_run_for_row(MtStatement *statement, Datum *values, const char *nulls)
{
	mt_run(statement, values, nulls);
	if (SPI_processed != 1)
		elog(ERROR, "a function of mindtickle gave " UINT64_FORMAT " rows instead of one", (uint64) SPI_processed);
}

/*
 * A column of a result's row; *isnull may be of no interest.
 */
Datum
mt_column(uint64 row, int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, isnull);
}

/*
 * A column that is a bool; false where it is null.
 */
bool
mt_column_bool(uint64 row, int number)
{
	bool		isnull;
	Datum		value = mt_column(row, number, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * A column that is an int8 or a timestamptz.
 */
int64
mt_column_int64(uint64 row, int number, int64 absent)
{
	bool		isnull;
	Datum		value = mt_column(row, number, &isnull);

	return isnull ? absent : DatumGetInt64(value);
}

/*
 * The column's text form in the given context; NULL when it is null.
 */
char *
mt_column_text(uint64 row, int number, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
	char	   *copy;

	if (value == NULL)
		return NULL;
	copy = MemoryContextStrdup(context, value);
	pfree(value);
	return copy;
}

/*
 * Runs a statement that returns one column of texts. Returns how many; *texts is in the given context, NULL for what is null.
 */
int
mt_run_for_texts(MtStatement *statement, MemoryContext context, char ***texts)
{
	mt_run(statement, NULL, NULL);
	*texts = MemoryContextAlloc(context, sizeof(char *) * (Size) Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
		(*texts)[i] = mt_column_text(i, 1, context);
	return (int) SPI_processed;
}
