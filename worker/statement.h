/*
 * statement.h
 *		A kept statement and its result: see statement.c. For the files that hold the workers' SQL.
 */
#ifndef MT_STATEMENT_H
#define MT_STATEMENT_H

#include "postgres.h"

#include "executor/spi.h"

#define MT_STATEMENT_ARGUMENTS_MAX 10

typedef struct MtStatement
{
	const char *text;
	int			argument_count;
	Oid			arguments[MT_STATEMENT_ARGUMENTS_MAX];
	SPIPlanPtr	plan;
} MtStatement;

extern void mt_run(MtStatement *statement, Datum *values, const char *nulls);
extern void mt_run_for_row(MtStatement *statement, Datum *values, const char *nulls);
extern int	mt_run_for_texts(MtStatement *statement, MemoryContext context, char ***texts);
extern Datum mt_column(uint64 row, int number, bool *isnull);
extern bool mt_column_bool(uint64 row, int number);
extern int64 mt_column_int64(uint64 row, int number, int64 absent);
extern char *mt_column_text(uint64 row, int number, MemoryContext context);

#endif							/* MT_STATEMENT_H */
