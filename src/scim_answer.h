/*
 * scim_answer.h
 *		What a SCIM request is answered with: see scim_answer.c.
 */
#ifndef MT_SCIM_ANSWER_H
#define MT_SCIM_ANSWER_H

#include "scim_json.h"

#define MT_SCIM_ERROR_URN			"urn:ietf:params:scim:api:messages:2.0:Error"
#define MT_SCIM_LIST_URN			"urn:ietf:params:scim:api:messages:2.0:ListResponse"
#define MT_SCIM_PATCH_URN			"urn:ietf:params:scim:api:messages:2.0:PatchOp"
#define MT_SCIM_SEARCH_URN			"urn:ietf:params:scim:api:messages:2.0:SearchRequest"
#define MT_SCIM_BULK_REQUEST_URN	"urn:ietf:params:scim:api:messages:2.0:BulkRequest"
#define MT_SCIM_BULK_RESPONSE_URN	"urn:ietf:params:scim:api:messages:2.0:BulkResponse"

/* Limits; ServiceProviderConfig tells some of them. */
#define MT_SCIM_BODY_MAX		(1024 * 1024)
#define MT_SCIM_DEPTH_MAX		32
#define MT_SCIM_PAGE_MAX		200
#define MT_SCIM_PAGE_DEFAULT	100
#define MT_SCIM_OPERATIONS_MAX	1000
#define MT_SCIM_MEMBERS_MAX		10000
#define MT_SCIM_VALUES_MAX		100
#define MT_SCIM_TEXT_MAX		4096
/* Most bytes of what of a resource has no columns of its own, and of an answer, as JSON. */
#define MT_SCIM_RESOURCE_MAX	(64 * 1024)
#define MT_SCIM_ANSWER_MAX		(8 * 1024 * 1024)
/* Most bytes that the filters in the paths of a request may go through, those of each comparison counted; to read the members of a group is as much as
 * so many comparisons, and to make of a value what a filter can look at, as so many bytes. */
#define MT_SCIM_WORK_MAX		(INT64CONST(128) * 1024 * 1024)
#define MT_SCIM_READING_WORK	16
#define MT_SCIM_MAKING_WORK		1000

typedef struct MtScimAnswer
{
	int			status;
	MtJson	   *body;			/* NULL: none */
	char	   *location;
	char	   *etag;
	const char *allow;
	const char *fault_type;		/* scimType of a refusal, NULL where there is none */
	char	   *fault_detail;	/* of a refusal */
} MtScimAnswer;

/* One request while it is answered. Values are those of the tenant; within mt_service_enter/leave. */
typedef struct MtScimCall
{
	const char *tenant;
	const char *base_url;		/* what stands before "/Users/..." in locations */
	const char *if_match;
	const char *if_none_match;
	const struct MtScimParameters *parameters;
	MtJson	   *body;			/* an object; NULL where the method has none */
	bool		in_bulk;		/* it is an operation of a bulk request, whose results hold no resources */
	int64	   *work;			/* what the filters in paths have gone through, in all operations */
	MtScimAnswer *answer;
} MtScimCall;

extern bool mt_scim_refuse(MtScimAnswer *answer, int status, const char *type, const char *detail,...) pg_attribute_printf(4, 5);
extern bool mt_scim_count_work(const MtScimCall *call, int64 bytes);
extern bool mt_scim_refuse_absent(MtScimAnswer *answer);
extern bool mt_scim_require_schema(MtScimAnswer *answer, const MtJson *body, const char *urn, const char *type);
extern char *mt_scim_location(const MtScimCall *call, const char *endpoint, const char *id);
extern char *mt_scim_etag(int64 version);
extern bool mt_scim_etag_listed(const char *list, int64 version);
extern bool mt_scim_version_expected(MtScimCall *call, int64 version);

#endif							/* MT_SCIM_ANSWER_H */
