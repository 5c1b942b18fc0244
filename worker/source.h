/*
 * source.h
 *		Where and with what a tenant's data is fetched: see source.c.
 */
#ifndef MT_SOURCE_H
#define MT_SOURCE_H

#include "postgres.h"

#include "contract.h"

/* An entry of a setting that is a map. */
typedef struct MtMapEntry
{
	char	   *key;
	char	   *value;
} MtMapEntry;

typedef struct MtMap
{
	MtMapEntry *entries;
	int			count;
} MtMap;

/* What a pull needs of a tenant's settings and secrets. Texts that are not set are NULL. */
struct MtSource
{
	const MtContract *contract;
	char	  **base_urls;
	int			base_url_count;
	int			base_url;		/* in use */
	char	   *reporting_url;	/* only with a user and a password for it */
	char	   *scim_url;		/* only with a token for it */
	bool		allow_http;
	double		per_second;
	double		per_minute;
	double		per_hour;

	char	   *company_id;
	char	   *learning_site;	/* bare host, lower case */
	char	  **groups;			/* names of those that are teams */
	int			group_count;
	MtMap		profile_map;	/* our name to the key of a profile */
	MtMap		role_map;		/* their role to ours */

	/* Secrets. mt_source_forget overwrites them. */
	char	   *api_key;
	char	   *secret_key;
	char	   *reporting_user;
	char	   *reporting_password;
	char	   *scim_token;
	uint64		secret_hash;	/* of those that sign in */
	uint64		reporting_hash;

	/* found out by the pull */
	bool		reporting_refused;
};

extern const char *mt_source_read(MtSource *source, const char *settings, char *credential);
extern void mt_source_forget(MtSource *source);
extern char *mt_source_url(const MtSource *source, MtHost host, const MtCall *call);
extern char *mt_source_authorization(const MtSource *source, MtHost host, const char *token);
extern void mt_source_blot(const MtSource *source, const char *token, char *text, int shown);
extern size_t mt_source_longest_secret(const MtSource *source, const char *token);
extern const char *mt_map_find(const MtMap *map, MtSpan key);
extern uint64 mt_hash_text(const char *text, uint64 seed);
extern bool mt_fit_for_header(const char *text);

#endif							/* MT_SOURCE_H */
