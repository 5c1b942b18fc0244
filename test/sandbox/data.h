/*
 * data.h
 *		The invented people, courses and progress of one tenant.
 *
 * Everything is a pure function of (seed, tenant, revision): nothing is kept,
 * so any number of threads may ask, and a record is made when it is wanted.
 * The fields are what the upstream record says and, beside it, what our tables
 * must hold.
 */
#ifndef SANDBOX_DATA_H
#define SANDBOX_DATA_H

#include "buffer.h"
#include "moment.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define MAX_REVISION	300
#define NEVER			INT_MAX		/* a revision that does not come */
#define ID_SIZE			24
#define NAME_SIZE		12008		/* one name has 10,000 characters, 12,000 bytes */

typedef struct DataSet
{
	const char *name;			/* the tenant */
	uint64_t	key;			/* of all draws: made of seed and tenant */
	uint32_t	id_prefix;		/* nine digits, no other tenant has them */
	int			users;			/* at revision 0 */
	int			courses;
	int			bad_percent;	/* bad records per 100 good ones */
} DataSet;

typedef enum Presence
{
	FIELD_MISSING,
	FIELD_NULL,
	FIELD_PRESENT
} Presence;

/* What a draw is about; two topics never share a draw. */
typedef enum Topic
{
	TOPIC_PERSON = 1,
	TOPIC_PERSON_LATER,
	TOPIC_EMAIL,
	TOPIC_COURSE,
	TOPIC_LIFE,
	TOPIC_TIMES,
	TOPIC_PROGRESS,
	TOPIC_SCORE,
	TOPIC_QUIZ,
	TOPIC_ATTEMPT,
	TOPIC_ANSWERS,
	TOPIC_ID,
	TOPIC_LIVE_MANAGER,
	TOPIC_LIVE_PROFILE,
	TOPIC_LIVE_STATE,
	TOPIC_LIVE_GROUP,
	TOPIC_LIVE_SERIES,
	TOPIC_LIVE_PERFORMANCE,
	TOPIC_LIVE_SCORE,
	TOPIC_LIVE_SPELLING,
	TOPIC_LIVE_STATEMENT,
	TOPIC_LIVE_KEY
} Topic;

typedef enum IdKind
{
	ID_USER = 1,
	ID_COURSE = 2,
	ID_SERIES = 3,
	ID_GROUP = 4,
	ID_QUIZ = 5,
	ID_PHANTOM = 9				/* a bad record's: no good record has it */
} IdKind;

typedef struct Person
{
	char		id[ID_SIZE];
	bool		id_is_number;
	Presence	name_presence;
	char		name[NAME_SIZE];
	Presence	email_presence;
	char		email[128];
	Presence	role_presence;
	const char *role;			/* as sent */
	const char *stored_role;
	Presence	active_presence;
	bool		active;			/* as stored */
	Presence	scim_presence;
	char		scim_id[32];
} Person;

typedef struct Course
{
	char		id[ID_SIZE];
	bool		id_is_number;
	char		title[96];
} Course;

typedef enum ScoreForm
{
	SCORE_MISSING,
	SCORE_NULL,
	SCORE_NUMBER,
	SCORE_STRING,
	SCORE_LONG,					/* 66.66666666666667 */
	SCORE_EXPONENT				/* 8.75000e1 */
} ScoreForm;

typedef struct Score
{
	ScoreForm	form;
	int			value;			/* in ten-thousandths, rounded */
	double		exact;			/* of SCORE_LONG */
} Score;

typedef struct Progress
{
	const char *status;			/* as sent */
	const char *stored_status;
	Score		score;
	bool		has_completed_at;
	bool		stores_completed_at;
	Moment		completed_at;
	bool		has_updated_at;
	Moment		updated_at;
} Progress;

/* When a user's work on a course begins and ends. */
typedef struct Life
{
	int			started;		/* revisions */
	int			completed;
	int64_t		assigned_at;	/* seconds since 1970 */
	int64_t		started_at;
	int64_t		completed_at;
} Life;

/* A well-mixed number that depends on nothing but its arguments. */
extern uint64_t mt_draw(const DataSet *data, Topic topic, uint64_t a, uint64_t b);

/* A hash of a text, for seeds and tables. */
extern uint64_t mt_hash_text(uint64_t seed, const char *text);

/* Writes the 18 or 19 digits of an id. */
extern void mt_data_id(const DataSet *data, IdKind kind, uint32_t index, char *id);

/* True when the text is the id of that kind with an index below limit. */
extern bool mt_data_find(const DataSet *data, IdKind kind, const char *id, int limit, int *index);

/* How many users there have been up to that revision, the vanished included. */
extern int	mt_data_user_count(const DataSet *data, int revision);

/* Is the user in the listing, and is he active, at that revision? */
extern bool mt_data_user_listed(const DataSet *data, int user, int revision);
extern bool mt_data_user_active(const DataSet *data, int user, int revision);

/* The day, in seconds since 1970, on which things of a revision from 1 on happen. */
extern int64_t mt_data_day(int revision);

/* Fills in one user, one course. */
extern void mt_data_person(const DataSet *data, int user, int revision, Person *person);
extern void mt_data_course(const DataSet *data, int course, Course *result);

/* Fills in the dates of a user's course; false when it is not his. */
extern bool mt_data_life(const DataSet *data, int user, int course, Life *life);

/* Fills in one progress item; false when the course is not the user's. */
extern bool mt_data_progress(const DataSet *data, int user, int course, int revision, Progress *progress);

/* Appends a score as upstream JSON (not for SCORE_MISSING), or as numeric text with 4 decimals. */
extern void mt_score_upstream(Buffer *buffer, const Score *score);
extern void mt_score_canonical(Buffer *buffer, int value);

#endif							/* SANDBOX_DATA_H */
