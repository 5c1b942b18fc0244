/*
 * field.h
 *		Strict reading of fields from JSON that came from outside: see field.c.
 */
#ifndef MT_FIELD_H
#define MT_FIELD_H

#include "mindtickle.h"

#include "common/jsonapi.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* What is wrong with an input: empty until the first fault, which is kept. Field and message are palloc'd. */
typedef struct MtFault
{
	char	   *field;
	char	   *message;
	bool		holds_nul;		/* JSON in good form, but with the character U+0000, which PostgreSQL cannot hold */
} MtFault;

/* One JSON object being read; name and index say where it stands, for messages: progress[3]. */
typedef struct MtFields
{
	JsonbContainer *object;
	const char *name;			/* NULL: the document itself */
	int			index;			/* -1: no list */
	MtFault    *fault;
} MtFields;

typedef enum MtPresence
{
	MT_FIELD_ABSENT,			/* the key is not there */
	MT_FIELD_NULL,				/* the key is there and null */
	MT_FIELD_SET
} MtPresence;

/* Longest text in bytes that a field may have, unless a tighter one is given. */
#define MT_TEXT_MAX		65536
/* Longest address or login name in bytes: they are index keys. */
#define MT_ADDRESS_MAX	1024

extern void mt_fault(MtFields *fields, const char *key, const char *message,...) pg_attribute_printf(3, 4);
extern bool mt_faulty(const MtFault *fault);
extern void mt_raise_fault(const MtFault *fault) pg_attribute_noreturn();

extern bool mt_fields_open(MtFields *fields, const JsonbValue *value, const char *name, int index, MtFault *fault);
extern bool mt_fields_open_document(MtFields *fields, Jsonb *document, MtFault *fault);
extern MtPresence mt_field_text(MtFields *fields, const char *key, int max_bytes, Datum *value);
extern MtPresence mt_field_id(MtFields *fields, const char *key, bool required, Datum *value);
extern MtPresence mt_field_word(MtFields *fields, const char *key, const char *const *words, Datum *value);
extern MtPresence mt_field_number(MtFields *fields, const char *key, const char *least, const char *most, Datum *value);
extern MtPresence mt_field_percent(MtFields *fields, const char *key, Datum *value);
extern MtPresence mt_field_integer(MtFields *fields, const char *key, int32 least, int32 most, Datum *value);
extern MtPresence mt_field_boolean(MtFields *fields, const char *key, Datum *value);
extern MtPresence mt_field_timestamp(MtFields *fields, const char *key, Datum *value);
extern MtPresence mt_field_container(MtFields *fields, const char *key, bool array, JsonbValue *value);

extern void mt_check_argument_id(const char *name, text *value);
extern bool mt_json_too_deep(MtFields *fields, JsonbContainer *container, int depth);
extern JsonLexContext *mt_json_lexer(char *bytes, int length);
extern char *mt_json_check_bytes(const char *bytes, int length, int depth_max, MtFault *fault);
extern Jsonb *mt_json_from_bytes(const char *bytes, int length, MtFault *fault);

/* iso_timestamp.c */
extern bool mt_parse_iso_timestamp(const char *string, int length, TimestampTz *timestamp);

#endif							/* MT_FIELD_H */
