/*
 * user.h
 *		People: see user.c.
 */
#ifndef MT_USER_H
#define MT_USER_H

#include "field.h"
#include "storage/lockdefs.h"

/* Columns of users that a document may give, in the order of the statements in user.c. */
typedef enum MtUserColumn
{
	MT_USER_MINDTICKLE_ID,
	MT_USER_SCIM_EXTERNAL_ID,
	MT_USER_USER_NAME,
	MT_USER_EMAIL,
	MT_USER_NAME,
	MT_USER_ROLE,
	MT_USER_ACTIVE,
	MT_USER_TITLE,
	MT_USER_DEPARTMENT,
	MT_USER_LOCATION,
	MT_USER_HIRED_AT,
	MT_USER_MANAGER_ID,
	MT_USER_MANAGER_EMAIL,
	MT_USER_ATTRIBUTES,
	MT_USER_COLUMNS
} MtUserColumn;

/*
 * Bits of MtUser.given behind those of the columns: the attributes are laid over those that are there; and the user is new to the identity provider:
 * the document means nobody who has a user name already.
 */
#define MT_USER_ADDS_ATTRIBUTES	(1u << MT_USER_COLUMNS)
#define MT_USER_NEW_TO_PROVIDER	(1u << (MT_USER_COLUMNS + 1))

/* One user as a document describes him, read and checked. */
typedef struct MtUser
{
	Datum		user_id;		/* 0: not given */
	uint32		given;			/* bit per column: the key was there, be it null */
	Datum		values[MT_USER_COLUMNS];
	bool		nulls[MT_USER_COLUMNS];
	bool		pulled;			/* MindTickle says so; mt_user_read leaves it false */
} MtUser;

extern Datum mt_user_resolve(const char *tenant, Datum id);
extern Datum mt_user_resolve_pulled(const char *tenant, Datum id);
extern bool mt_user_read(MtFields *fields, MtUser *user);

/* What came of storing a user. */
typedef enum MtUserOutcome
{
	MT_USER_UNCHANGED,
	MT_USER_CHANGED,
	MT_USER_KEY_TAKEN			/* nothing stored: his user name or MindTickle id is another user's */
} MtUserOutcome;

extern bool mt_user_find(const char *tenant, const MtUser *user, Datum *user_id);
extern void mt_lock_people(const char *tenant, LOCKMODE mode);
extern void mt_user_lock_keys(const char *tenant, const MtUser *user);
extern void mt_user_lock_change(const char *tenant, const MtUser *user);
extern void mt_raise_user_key_taken(void) pg_attribute_noreturn();
extern bool mt_user_store_stranger(const char *tenant, const MtUser *user, int64 *version, TimestampTz *created_at);
extern MtUserOutcome mt_user_store(const char *tenant, MtUser *user, Datum *user_id);
extern void mt_user_delete(const char *tenant, Datum user_id);

#endif							/* MT_USER_H */
