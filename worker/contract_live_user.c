/*
 * contract_live_user.c
 *		Users of the live contract: state, managers, and the fields of a profile whose keys are different at every tenant.
 *
 * Called through contract.h. A profile's keys are obfuscated; profile_map says which of them are columns of ours, other names in it become
 * attributes. The profile and the state are kept in the attributes as they came.
 */
#include "contract_live.h"

#include "canonical.h"
#include "moment.h"
#include "source.h"
#include "utils/json.h"

/* Names in profile_map that are columns, and the keys that they have where the tenant says nothing else. */
static const struct
{
	const char *name;			/* in profile_map */
	const char *member;			/* of a user document */
	const char *usual_key;		/* NULL: none */
	bool		moment;
}			columns[] = {
	{"title", "title", "dg", false},
	{"department", "department", "dp", false},
	{"location", "location", "rg", false},
	{"hired_at", "hiredAt", NULL, true},
};

/* The key whose entry is the person's manager; where it is not there the first entry counts. */
#define MANAGER_KEY		"User_Manager"

/* The members of a user; empty where they are absent. */
typedef struct User
{
	MtSpan		id;
	MtSpan		external_id;
	MtSpan		email;
	MtSpan		name;
	MtSpan		role;
	MtSpan		state;
	MtSpan		profile;
	MtSpan		managers;
} User;

/* False where the record is no object that can be walked to its end. */
static bool
read_user(MtSpan record, User *user)
{
	static const char *const names[] = {"id", "externalId", "email", "name", "role", "userState", "profile", "managers"};
	MtSpan	   *const values[] = {
		&user->id, &user->external_id, &user->email, &user->name, &user->role, &user->state, &user->profile, &user->managers
	};
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	MtStep		step;

	memset(user, 0, sizeof(*user));
	if (!mt_json_walk(record, '{', &walk))
		return false;
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
		for (int i = 0; i < (int) lengthof(names); i++)
			if (mt_json_text_equals(key, names[i]))
				*values[i] = value;
	return step == MT_STEP_END;
}

/* Everybody is active who is not said to have left. */
static bool
active(const User *user)
{
	char	   *state = user->state.length > 100 ? NULL : mt_json_text(user->state);

	return state == NULL || pg_strcasecmp(state, "DEACTIVATED") != 0;
}

/* The e-mail of an entry of managers; empty where it has none. *is_first: it is the person's own manager. */
static MtSpan
manager_email(MtSpan entry, bool *is_first)
{
	MtSpan		email = {NULL, 0};
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;

	*is_first = false;
	if (!mt_json_walk(entry, '{', &walk))
		return email;
	while (mt_json_member(&walk, &key, &value) == MT_STEP_ITEM)
	{
		if (mt_json_text_equals(key, "email") && mt_json_is_string(value) && value.length > 2)
			email = value;
		else if (mt_json_text_equals(key, "key"))
			*is_first = mt_json_text_equals(value, MANAGER_KEY);
	}
	return email;
}

/* Appends the manager, and to attributes everybody who is named as one. */
static void
append_managers(MtSpan managers, StringInfo canonical, StringInfo attributes)
{
	MtSpan		chosen = {NULL, 0};
	MtWalk		walk;
	MtSpan		entry;
	bool		own = false;
	int			count = 0;

	if (managers.start == NULL || !mt_json_walk(managers, '[', &walk))
		return;
	mt_append_name(attributes, "managers");
	appendStringInfoChar(attributes, '[');
	while (mt_json_element(&walk, &entry) == MT_STEP_ITEM)
	{
		bool		is_first;
		MtSpan		email = manager_email(entry, &is_first);

		if (email.start == NULL)
			continue;
		if (count++ > 0)
			appendStringInfoChar(attributes, ',');
		mt_append_span(attributes, email);
		if (chosen.start == NULL || (is_first && !own))
			chosen = email;
		own |= is_first;
	}
	appendStringInfoChar(attributes, ']');
	mt_append_name(canonical, "managerEmail");
	if (chosen.start == NULL)
		appendStringInfoString(canonical, "null");
	else
		mt_append_span(canonical, chosen);
}

/* Appends one field of a profile as a column. What a column cannot hold is left out. */
static void
append_column(int column, MtSpan value, StringInfo canonical)
{
	TimestampTz moment;

	if (columns[column].moment)
	{
		if (!mt_read_moment(value, &moment))
			return;
		mt_append_name(canonical, columns[column].member);
		mt_append_moment(canonical, moment);
	}
	else if (mt_json_is_string(value) || mt_json_is_null(value))
	{
		mt_append_name(canonical, columns[column].member);
		mt_append_span(canonical, value);
	}
}

/* The column that a name of profile_map is; -1: none. */
static int
column_of(const char *name)
{
	for (int i = 0; i < (int) lengthof(columns); i++)
		if (strcmp(columns[i].name, name) == 0)
			return i;
	return -1;
}

/* Does profile_map say where the column comes from? */
static bool
mapped(const MtSource *source, int column)
{
	for (int i = 0; i < source->profile_map.count; i++)
		if (strcmp(source->profile_map.entries[i].key, columns[column].name) == 0)
			return true;
	return false;
}

/* Appends what one member of a profile is at this tenant: columns, or attributes under a name of the tenant's. */
static void
append_profile_member(const MtSource *source, MtSpan key, MtSpan value, StringInfo canonical, StringInfo attributes)
{
	for (int i = 0; i < source->profile_map.count; i++)
	{
		const MtMapEntry *entry = &source->profile_map.entries[i];
		int			column = column_of(entry->key);

		if (!mt_json_text_equals(key, entry->value))
			continue;
		if (column >= 0)
			append_column(column, value, canonical);
		else
		{
			appendStringInfoString(attributes, attributes->data[attributes->len - 1] == '{' ? "" : ",");
			escape_json(attributes, entry->key);
			appendStringInfoChar(attributes, ':');
			mt_append_span(attributes, value);
		}
	}
	for (int i = 0; i < (int) lengthof(columns); i++)
		if (columns[i].usual_key != NULL && !mapped(source, i) && mt_json_text_equals(key, columns[i].usual_key))
			append_column(i, value, canonical);
}

static void
append_profile(const MtSource *source, MtSpan profile, StringInfo canonical, StringInfo attributes)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;

	if (profile.start == NULL || !mt_json_walk(profile, '{', &walk))
		return;
	while (mt_json_member(&walk, &key, &value) == MT_STEP_ITEM)
		append_profile_member(source, key, value, canonical, attributes);
	mt_append_name(attributes, "profile");
	mt_append_span(attributes, profile);
}

static void
append_member(StringInfo canonical, const char *name, MtSpan value)
{
	if (value.start == NULL)
		return;
	mt_append_name(canonical, name);
	mt_append_span(canonical, value);
}

static void
append_identifier(StringInfo canonical, const char *name, MtSpan value)
{
	if (value.start == NULL)
		return;
	mt_append_name(canonical, name);
	mt_append_identifier(canonical, value);
}

/*
 * A user of the roster. Who is a manager shows only when all are there, so no role is given unless role_map knows the one that upstream names.
 */
void
mt_live_canonical_user(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	User		user;
	StringInfoData attributes;

	if (!read_user(record, &user))
	{
		mt_append_span(canonical, record);
		return;
	}
	initStringInfo(&attributes);
	appendStringInfoChar(&attributes, '{');
	appendStringInfoChar(canonical, '{');
	append_identifier(canonical, "mindtickleId", user.id);
	append_identifier(canonical, "scimExternalId", user.external_id);
	append_member(canonical, "email", user.email);
	append_member(canonical, "name", user.name);
	mt_append_name(canonical, "active");
	appendStringInfoString(canonical, active(&user) ? "true" : "false");
	if (user.role.start != NULL && mt_map_find(&source->role_map, user.role) != NULL)
	{
		mt_append_name(canonical, "role");
		escape_json(canonical, mt_map_find(&source->role_map, user.role));
	}
	append_member(&attributes, "userState", user.state);
	append_managers(user.managers, canonical, &attributes);
	append_profile(source, user.profile, canonical, &attributes);
	appendStringInfoChar(&attributes, '}');
	mt_append_name(canonical, "attributes");
	appendBinaryStringInfo(canonical, attributes.data, attributes.len);
	appendStringInfoChar(canonical, '}');
	pfree(attributes.data);
}

/*
 * A user as member of a group.
 */
void
mt_live_canonical_member(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	User		user;

	if (!read_user(record, &user))
	{
		mt_append_span(canonical, record);
		return;
	}
	appendStringInfoChar(canonical, '{');
	append_identifier(canonical, "mindtickleId", user.id);
	appendStringInfoChar(canonical, '}');
}
