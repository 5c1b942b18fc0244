/*
 * listing.h
 *		What a tenant's listings hold at its current revision, by position.
 *
 * A page is wanted by offset, while the data is made by index: this maps the
 * one to the other. The lock of the listing guards its fields: pages are
 * written under a read lock, a new revision under the write lock.
 */
#ifndef SANDBOX_LISTING_H
#define SANDBOX_LISTING_H

#include "data.h"
#include "quiz.h"

#include <pthread.h>

typedef struct Listing
{
	pthread_rwlock_t lock;
	int			revision;
	int			users;			/* listed */
	int		   *user_at;		/* index of the user at a position */
	uint64_t   *results_before; /* quiz results of the users before a position; users + 1 entries */
} Listing;

/* A walk over quiz results in listing order. */
typedef struct ResultCursor
{
	const DataSet *data;
	const Listing *listing;
	int			position;		/* of the user */
	int			last_position;	/* the walk ends there */
	int			course;
	int			attempt;		/* given last; 0: none of this course yet */
	int			attempts;
	Quiz		quiz;
} ResultCursor;

/* Prepares a listing without a revision. */
extern void mt_listing_init(Listing *listing);

/* Moves the listing to a revision; takes the write lock. */
extern void mt_listing_move(Listing *listing, const DataSet *data, int revision);

/* Quiz results of all users together; the caller holds the lock. */
extern uint64_t mt_listing_results(const Listing *listing);

/* Begins a walk at the result of that number; the caller holds the lock throughout. */
extern void mt_result_cursor_all(ResultCursor *cursor, const DataSet *data, const Listing *listing, uint64_t first);

/* Begins a walk over the results of one position only. */
extern void mt_result_cursor_user(ResultCursor *cursor, const DataSet *data, const Listing *listing, int position);

/* Gives the next result and whose it is; false at the end. */
extern bool mt_result_next(ResultCursor *cursor, int *user, int *course, QuizResult *result);

/* The position of a user that is listed, or -1. */
extern int	mt_listing_position(const Listing *listing, int user);

#endif							/* SANDBOX_LISTING_H */
