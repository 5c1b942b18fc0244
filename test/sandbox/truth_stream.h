/*
 * truth_stream.h
 *		What the files that tell the truth share. truth.c owns it.
 */
#ifndef SANDBOX_TRUTH_STREAM_H
#define SANDBOX_TRUTH_STREAM_H

#include "data.h"
#include "truth.h"

typedef void (*PutRows) (TruthStream *stream, int number);

struct TruthStream
{
	const DataSet *data;
	bool		reporting;		/* of the live contract: rows come from the report */
	int			revisions[MAX_PULLS];
	int			pulls;
	PutRows		put_rows;
	int			next;			/* number of the user, course or resource */
	int			count;
	bool	   *manages[MAX_PULLS]; /* of the live contract: who was named as manager in a pull; NULL: not asked yet */
	bool		begun;
	bool		has_rows;
	bool		ended;
	Buffer		buffer;
	size_t		sent;			/* bytes of the buffer */
};

/* truth.c: what rows are made of. A name is written with what stands before and behind it. */
extern void mt_truth_begin_row(TruthStream *stream);
extern void mt_truth_text(Buffer *buffer, const char *name, bool present, const char *text);
extern void mt_truth_bool(Buffer *buffer, const char *name, bool present, bool value);
extern void mt_truth_score(Buffer *buffer, const char *name, bool present, int value);
extern void mt_truth_moment(Buffer *buffer, const char *name, bool present, int64_t micros);

/* Writes how many bad records of each kind of a resource there were. */
extern void mt_truth_rejects(TruthStream *stream, int resource, const uint64_t *by_kind);

/* The last pull that listed the user, and listed him as active if asked; -1 when none did. */
extern int	mt_truth_last_pull(const TruthStream *stream, int user, bool active);

/* truth_live.c: how the rows of a table of the live contract are made, and how many numbers that takes; NULL: no such table. */
extern PutRows mt_truth_live(const TruthStream *stream, const char *table, int *count);

#endif							/* SANDBOX_TRUTH_STREAM_H */
