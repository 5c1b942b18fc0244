/*
 * readiness_row.c
 *		What a row of users, course_progress or quiz_submission means for the readiness figures. The one place that says so in C;
 *		mindtickle.count_readiness says it in SQL, and mt_verify_readiness compares the two.
 *
 * Called by readiness_delta.c for rows that come and go, and by readiness_change.c for those that are there.
 */
#include "readiness_row.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Columns of the three tables, in the order of sql/people.sql and sql/training.sql. */
#define USER_ACTIVE				9
#define COURSE_ID				3
#define PROGRESS_STATUS			4
#define PROGRESS_COMPLETED_AT	6
#define PROGRESS_STARTED_AT		8
#define PROGRESS_IS_OVERDUE		10
#define PROGRESS_UPDATED_AT		14
#define QUIZ_SUBMITTED_AT		5
#define QUIZ_SCORE				7

/*
 * An id in a row: the known one, which may be NULL, where it is the same, else copied.
 */
MtId
mt_id_of_row(TupleTableSlot *row, int column, const MtId *known)
{
	bool		isnull;
	text	   *value = DatumGetTextPP(slot_getattr(row, column, &isnull));
	MtId		id = {.length = VARSIZE_ANY_EXHDR(value)};

	if (known != NULL && known->length == id.length && memcmp(known->bytes, VARDATA_ANY(value), id.length) == 0)
		return *known;
	id.bytes = memcpy(palloc(id.length + 1), VARDATA_ANY(value), id.length);
	return id;
}

static bool
true_in_row(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* Notes a moment of activity of the row. */
static void
note_activity(TupleTableSlot *row, int column, MtEntry *entry, int factor)
{
	bool		isnull;
	TimestampTz moment = DatumGetTimestampTz(slot_getattr(row, column, &isnull));

	if (isnull || TIMESTAMP_NOT_FINITE(moment))
		return;
	if (factor > 0)
		entry->gained = Max(entry->gained, moment);
	else
		entry->lost = Max(entry->lost, moment);
}

/*
 * A row of users.
 */
void
mt_read_user_row(TupleTableSlot *row, MtEntry *entry, int factor)
{
	entry->present = factor;
	entry->active = true_in_row(row, USER_ACTIVE) ? factor : 0;
}

/*
 * A row of course_progress, but for its tenant and user.
 */
void
mt_read_progress_row(TupleTableSlot *row, MtEntry *entry, int factor)
{
	bool		isnull;
	text	   *status = DatumGetTextPP(slot_getattr(row, PROGRESS_STATUS, &isnull));
	bool		completed = VARSIZE_ANY_EXHDR(status) == strlen("completed") &&
		memcmp(VARDATA_ANY(status), "completed", strlen("completed")) == 0;

	entry->course = mt_id_of_row(row, COURSE_ID, NULL);
	entry->figures.assignments = factor;
	entry->figures.completed = completed ? factor : 0;
	entry->figures.overdue = !completed && true_in_row(row, PROGRESS_IS_OVERDUE) ? factor : 0;
	note_activity(row, PROGRESS_COMPLETED_AT, entry, factor);
	note_activity(row, PROGRESS_STARTED_AT, entry, factor);
	note_activity(row, PROGRESS_UPDATED_AT, entry, factor);
}

/*
 * A row of quiz_submission, but for its tenant and user.
 */
void
mt_read_quiz_row(TupleTableSlot *row, MtEntry *entry, int factor)
{
	bool		isnull;
	Datum		score = slot_getattr(row, QUIZ_SCORE, &isnull);

	entry->course = mt_id_of_row(row, COURSE_ID, NULL);
	entry->figures.submissions = factor;
	entry->figures.scores = isnull ? 0 : factor;
	entry->figures.score_sum = isnull ? 0 : factor * mt_score_units(score);
	note_activity(row, QUIZ_SUBMITTED_AT, entry, factor);
}
