/*
 * listing.c
 *		What a tenant's listings hold at its current revision, by position.
 *
 * Called by the contract for pages, and by the control endpoints when a tenant
 * moves to another revision. It keeps two numbers per user and no record.
 */
#include "listing.h"

#include <stdlib.h>

void
mt_listing_init(Listing *listing)
{
	pthread_rwlock_init(&listing->lock, NULL);
	listing->revision = 0;
	listing->users = 0;
	listing->user_at = NULL;
	listing->results_before = NULL;
}

void
mt_listing_move(Listing *listing, const DataSet *data, int revision)
{
	int			count = mt_data_user_count(data, revision);
	int		   *user_at = mt_allocate((size_t) count + 1, sizeof(int));
	uint64_t   *results_before = mt_allocate((size_t) count + 1, sizeof(uint64_t));
	int			users = 0;
	int			user;

	for (user = 0; user < count; user++)
	{
		int			course;

		if (!mt_data_user_listed(data, user, revision))
			continue;
		results_before[users + 1] = results_before[users];
		for (course = 0; course < data->courses; course++)
			results_before[users + 1] += (uint64_t) mt_quiz_attempts(data, user, course, revision);
		user_at[users++] = user;
	}
	pthread_rwlock_wrlock(&listing->lock);
	free(listing->user_at);
	free(listing->results_before);
	listing->user_at = user_at;
	listing->results_before = results_before;
	listing->users = users;
	listing->revision = revision;
	pthread_rwlock_unlock(&listing->lock);
}

uint64_t
mt_listing_results(const Listing *listing)
{
	return listing->results_before[listing->users];
}

/* Turns to a course of the cursor's user; there may be none left. */
static void
enter_course(ResultCursor *cursor, int course)
{
	cursor->course = course;
	cursor->attempt = 0;
	cursor->attempts = 0;
	if (course < cursor->data->courses && mt_quiz(cursor->data, course, &cursor->quiz))
		cursor->attempts = mt_quiz_attempts(cursor->data, cursor->listing->user_at[cursor->position], course,
											cursor->listing->revision);
}

void
mt_result_cursor_user(ResultCursor *cursor, const DataSet *data, const Listing *listing, int position)
{
	cursor->data = data;
	cursor->listing = listing;
	cursor->position = position;
	cursor->last_position = position;
	enter_course(cursor, 0);
}

void
mt_result_cursor_all(ResultCursor *cursor, const DataSet *data, const Listing *listing, uint64_t first)
{
	int			low = 0;
	int			high = listing->users;
	uint64_t	skip;

	cursor->data = data;
	cursor->listing = listing;
	cursor->last_position = listing->users - 1;
	/* The last position whose results begin at or before the wanted one. */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (listing->results_before[middle + 1] <= first)
			low = middle + 1;
		else
			high = middle;
	}
	cursor->position = low;
	if (low > cursor->last_position)
		return;
	enter_course(cursor, 0);
	for (skip = first - listing->results_before[low]; skip >= (uint64_t) cursor->attempts;)
	{
		skip -= (uint64_t) cursor->attempts;
		enter_course(cursor, cursor->course + 1);
	}
	cursor->attempt = (int) skip;
}

bool
mt_result_next(ResultCursor *cursor, int *user, int *course, QuizResult *result)
{
	while (cursor->position <= cursor->last_position)
	{
		if (cursor->attempt < cursor->attempts)
		{
			*user = cursor->listing->user_at[cursor->position];
			*course = cursor->course;
			mt_quiz_result(cursor->data, *user, *course, &cursor->quiz, ++cursor->attempt, cursor->listing->revision,
						   result);
			return true;
		}
		if (cursor->course + 1 < cursor->data->courses)
			enter_course(cursor, cursor->course + 1);
		else if (++cursor->position <= cursor->last_position)
			enter_course(cursor, 0);
	}
	return false;
}

int
mt_listing_position(const Listing *listing, int user)
{
	int			low = 0;
	int			high = listing->users - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (listing->user_at[middle] == user)
			return middle;
		if (listing->user_at[middle] < user)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}
