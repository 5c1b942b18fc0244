/*
 * statement.h
 *		A statement with its kept plan, for the files that hold SQL: statements.c, which also runs them, and gateway_sql.c.
 */
#ifndef MT_STATEMENT_H
#define MT_STATEMENT_H

#include "postgres.h"

#include "executor/spi.h"

#define MT_STATEMENT_ARGUMENTS_MAX	6

typedef struct MtStatement
{
	const char *text;
	int			argument_count;
	Oid			arguments[MT_STATEMENT_ARGUMENTS_MAX];
	SPIPlanPtr	plan;
} MtStatement;

extern void mt_statement_run(MtStatement *statement, Datum *values, const char *nulls);
extern char *mt_statement_text(int number, MemoryContext context);

#endif							/* MT_STATEMENT_H */
