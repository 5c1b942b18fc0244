/*
 * live_data.h
 *		What the live contract knows beyond data.h: profiles, managers, groups, series, and where each learner stands.
 *
 * Pure functions of (seed, tenant, revision), like data.h. A module of the live
 * contract is a course of data.h.
 */
#ifndef SANDBOX_LIVE_DATA_H
#define SANDBOX_LIVE_DATA_H

#include "data.h"

#define NOBODY (-1)

typedef struct LiveUser
{
	Person		person;			/* id, e-mail, name; the SCIM id is "externalId" here */
	const char *state;			/* as sent; NULL: missing */
	bool		active;			/* as stored */
	Presence	profile_presence;
	const char *title;			/* of the profile; NULL: missing, here and below */
	const char *department;
	const char *location;
	bool		has_hired_at;
	int64_t		hired_at;		/* seconds since 1970, whole minutes */
	char		manager_email[128]; /* empty: no managers[] */
	char		second_email[128];	/* of a further entry; empty: none */
} LiveUser;

typedef enum LiveStanding
{
	STANDING_NOT_STARTED,
	STANDING_IN_PROGRESS,
	STANDING_COMPLETED
} LiveStanding;

/* A learner and a module, as reporting has them. Moments are seconds since 1970. */
typedef struct LivePerformance
{
	LiveStanding standing;
	int64_t		invited_at;
	int64_t		started_at;		/* unless not started */
	int64_t		completed_at;	/* if completed */
	int			percent;
	bool		has_score;		/* as sent: Score is a number */
	int			score_halves;
	bool		has_max_score;
	int			max_score;
	bool		has_stored_score;
	int			stored_score;	/* percent, in ten-thousandths, rounded to two places */
	Presence	failed_presence;
	bool		failed;
	Presence	overdue_presence;
	bool		overdue;
} LivePerformance;

/* Fills in one user. */
extern void mt_live_user(const DataSet *data, int user, int revision, LiveUser *result);

/* The users named as managers by a user, NOBODY where there is none. */
extern void mt_live_managers(const DataSet *data, int user, int *manager, int *second);

/* The e-mail address of a user as the other resources spell it: case differs. False when he has none. */
extern bool mt_live_email(const DataSet *data, int user, int revision, int spelling, char *email);

/* Finds a listed user by e-mail address, case aside. */
extern bool mt_live_find_email(const DataSet *data, const char *email, int revision, int *user);

/* Groups: how many, a name, and who is in them. */
extern int	mt_live_groups(const DataSet *data);
extern void mt_live_group_name(const DataSet *data, int group, char *name, size_t size);
extern bool mt_live_in_group(const DataSet *data, int user, int group);

/* Series: how many, a name, and which modules are in them. */
extern int	mt_live_series(const DataSet *data);
extern void mt_live_series_name(const DataSet *data, int series, char *name, size_t size);
extern bool mt_live_in_series(const DataSet *data, int series, int course);

/* The type of a module as upstream spells it. */
extern const char *mt_live_module_type(const DataSet *data, int course);

/* Fills in where a learner stands in a module; false when it is not his. */
extern bool mt_live_performance(const DataSet *data, int user, int course, int revision, LivePerformance *result);

#endif							/* SANDBOX_LIVE_DATA_H */
