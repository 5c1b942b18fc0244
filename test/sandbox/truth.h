/*
 * truth.h
 *		What our tables must hold after complete pulls of a tenant.
 */
#ifndef SANDBOX_TRUTH_H
#define SANDBOX_TRUTH_H

#include <sys/types.h>

#define MAX_PULLS 64

struct Tenant;

typedef struct TruthStream TruthStream;

/*
 * Opens the rows of a table after complete pulls at these revisions, in rising
 * order; NULL when there is no such table.
 */
extern TruthStream *mt_truth_open(const struct Tenant *tenant, const char *table, const int *revisions, int count);

/* Gives the next bytes, -1 at the end. */
extern ssize_t mt_truth_read(TruthStream *stream, char *bytes, size_t room);

/* Gives everything back. */
extern void mt_truth_close(TruthStream *stream);

#endif							/* SANDBOX_TRUTH_H */
