/*
 * scim_store.h
 *		The users that provisioning has written, or looked at, of one tenant.
 *
 * The people of data.h are there from the start, under their e-mail address
 * and id; they are put in here when somebody asks for them. What provisioning
 * changes is seen here only: the listings of users keep telling of data.h's
 * people. The store's lock guards all of it.
 */
#ifndef SANDBOX_SCIM_STORE_H
#define SANDBOX_SCIM_STORE_H

#include "buffer.h"
#include "data.h"

#include <json-c/json.h>
#include <pthread.h>

#define SCIM_ID_SIZE 40

typedef struct ScimUser
{
	char		id[SCIM_ID_SIZE];
	json_object *attributes;	/* as last written; without id and meta */
	uint64_t	version;		/* 0: never written here */
} ScimUser;

/* What a test wants to know of the writes. */
typedef struct ScimCounts
{
	uint64_t	created;
	uint64_t	changed;
	uint64_t	unchanged;		/* writes that changed nothing */
	uint64_t	deleted;
	uint64_t	conflicts;		/* user names that were taken */
	uint64_t	duplicates;		/* created with the externalId of another */
	uint64_t	blind;			/* created without a look whether the name is there */
} ScimCounts;

typedef struct ScimStore
{
	pthread_mutex_t lock;
	ScimUser  **users;
	int			count;
	int			capacity;
	uint64_t	next_id;
	uint64_t   *looked_up;		/* hashes of user names */
	int			lookups;
	Buffer		journal;		/* the writes, as JSON objects with commas between */
	uint64_t	writes;
	ScimCounts	counts;
} ScimStore;

extern void mt_scim_init(ScimStore *store);
extern void mt_scim_free(ScimStore *store);

/* All of what follows wants the lock held. */

/* Finds a user by user name, case aside; by externalId; by id. NULL when there is none. */
extern ScimUser *mt_scim_by_name(ScimStore *store, const DataSet *data, int revision, const char *name);
extern ScimUser *mt_scim_by_external_id(ScimStore *store, const char *external_id);
extern ScimUser *mt_scim_by_id(ScimStore *store, const DataSet *data, int revision, const char *id);

/* Adds a user with these attributes, which it keeps. */
extern ScimUser *mt_scim_add(ScimStore *store, const DataSet *data, json_object *attributes);

/* Gives the user other attributes, which it keeps; counts whether that is a change. */
extern void mt_scim_change(ScimStore *store, ScimUser *user, json_object *attributes);

/* Takes the user out. */
extern void mt_scim_remove(ScimStore *store, ScimUser *user);

/* Notes that a name was looked up; and asks. */
extern void mt_scim_note_lookup(ScimStore *store, const char *name);
extern bool mt_scim_was_looked_up(const ScimStore *store, const char *name);

/* Notes a write that had its effect. */
extern void mt_scim_note_write(ScimStore *store, const char *method, const ScimUser *user, json_object *request);

/* Append the journal, or the users that were written, as a JSON array. */
extern void mt_scim_write_journal(const ScimStore *store, Buffer *buffer);
extern void mt_scim_write_users(const ScimStore *store, Buffer *buffer);

#endif							/* SANDBOX_SCIM_STORE_H */
