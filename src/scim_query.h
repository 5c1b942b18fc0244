/*
 * scim_query.h
 *		Paths, query strings and search requests: see scim_query.c.
 */
#ifndef MT_SCIM_QUERY_H
#define MT_SCIM_QUERY_H

#include "scim_answer.h"

#include "nodes/pg_list.h"

/* What a request asks for beside the resource; NULL or NIL: not given. The texts are as they came and not checked yet. */
typedef struct MtScimParameters
{
	char	   *filter;
	char	   *sort_by;
	char	   *sort_order;
	char	   *start_index;
	char	   *count;
	List	   *attributes;		/* of char * */
	List	   *excluded_attributes;	/* of char * */
} MtScimParameters;

extern char *mt_scim_unescape(const char *text, int length, bool plus_is_space);
extern bool mt_scim_read_query(const char *query, MtScimParameters *parameters, MtScimAnswer *answer);
extern bool mt_scim_read_search(const MtJson *body, MtScimParameters *parameters, MtScimAnswer *answer);

#endif							/* MT_SCIM_QUERY_H */
