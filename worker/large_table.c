/*
 * large_table.c
 *		What is remembered of attempts to empty large tables of events, which are in vain where somebody is in the way: each rests ever longer.
 *
 * A table is known by its file: when it is large again after it was emptied it has another one. Called by publisher.c; empties nothing itself.
 */
#include "large_table.h"

#include "clock.h"

#define FIRST_REST	MT_SECOND
#define LAST_REST	MT_MINUTE

typedef struct LargeTable
{
	int64		file;
	int64		told_at;
	int			tries;
	int64		not_before;
} LargeTable;

static LargeTable tables[16];

/* The place of a table, which may have been another one's that was not told of for longest. */
static LargeTable *
find_table(int64 file)
{
	LargeTable *oldest = tables;

	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		if (tables[i].file == file)
			return &tables[i];
		if (tables[i].told_at < oldest->told_at)
			oldest = &tables[i];
	}
	*oldest = (LargeTable) {.file = file};
	return oldest;
}

/*
 * Notes that a table with this file is about to be emptied. Returns how often that was tried before; -1: it rests, and should not be tried now.
 */
int
mt_large_table_try(int64 file)
{
	LargeTable *table = find_table(file);

	table->told_at = mt_now();
	if (table->not_before > table->told_at)
		return -1;
	table->not_before = table->told_at + Min(FIRST_REST << Min(table->tries, 10), LAST_REST);
	return table->tries++;
}
