/*
 * scim_json.h
 *		JSON as a tree that can be changed: see scim_json.c.
 */
#ifndef MT_SCIM_JSON_H
#define MT_SCIM_JSON_H

#include "field.h"
#include "lib/stringinfo.h"

typedef enum MtJsonType
{
	MT_JSON_NULL,
	MT_JSON_BOOLEAN,
	MT_JSON_NUMBER,
	MT_JSON_STRING,
	MT_JSON_ARRAY,
	MT_JSON_OBJECT
} MtJsonType;

/* One value; everything in it is palloc'd. Text never holds a NUL: the parser refuses it. */
typedef struct MtJson
{
	MtJsonType	type;
	bool		boolean;
	char	   *text;			/* of a string, decoded; of a number, as it was written */
	struct MtJson **items;		/* of an array or object */
	char	  **keys;			/* of an object, as they were written */
	int			count;
	int			allocated;
} MtJson;

extern MtJson *mt_json_parse(const char *bytes, int length, int depth_max, MtFault *fault);
extern MtJson *mt_json_from_jsonb(const Jsonb *document);
extern Jsonb *mt_json_to_jsonb(const MtJson *value);
extern void mt_json_write(StringInfo out, const MtJson *value);
extern int	mt_json_length(const MtJson *value);

extern MtJson *mt_json_null(void);
extern MtJson *mt_json_boolean(bool boolean);
extern MtJson *mt_json_number(int64 number);
extern MtJson *mt_json_string(const char *text);
extern MtJson *mt_json_array(void);
extern MtJson *mt_json_object(void);
extern MtJson *mt_json_copy(const MtJson *value);

extern MtJson *mt_json_get(const MtJson *object, const char *key);
extern const char *mt_json_get_text(const MtJson *object, const char *key);
extern void mt_json_add(MtJson *object, const char *key, MtJson *value);
extern void mt_json_set(MtJson *object, const char *key, MtJson *value);
extern void mt_json_set_text(MtJson *object, const char *key, const char *text);
extern void mt_json_remove(MtJson *object, const char *key);
extern void mt_json_append(MtJson *array, MtJson *value);
extern void mt_json_remove_item(MtJson *array, int place);

extern bool mt_json_is_empty(const MtJson *value);
extern bool mt_json_equal(const MtJson *left, const MtJson *right);

#endif							/* MT_SCIM_JSON_H */
