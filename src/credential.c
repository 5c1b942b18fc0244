/*
 * credential.c
 *		Credentials: storing them, and reading those that are kept in files.
 *
 * A file stands in <mindtickle.secret_directory>/<tenant>/ and is named by its last part alone. The directory of the tenant and the file must
 * not be symbolic links, and the file is a plain one that nobody else on the host can read. Messages name the tenant and the key, never a
 * secret, and the statement that held it is hidden from views and the log.
 */
#include "mindtickle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access.h"
#include "catalog/pg_type.h"
#include "field.h"
#include "log_redaction.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "shared_state.h"
#include "utils/builtins.h"

/* Longest secret and longest file name, in bytes. */
#define SECRET_MAX		8192
#define FILE_NAME_MAX	100

static const char *const credential_names[] = {
	"api_key", "secret_key", "reporting_user", "reporting_password", "scim_token", NULL
};

PG_FUNCTION_INFO_V1(mt_set_credential);
PG_FUNCTION_INFO_V1(mt_read_secret_file);

static void
refuse_credential(const char *name, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %s", name, message)));
}

/* True when a file may be called so: it is one part of a path, and neither hidden nor a way up. */
static bool
file_name_valid(const char *name)
{
	size_t		length = strlen(name);

	return length > 0 && length <= FILE_NAME_MAX && name[0] != '.' && strchr(name, '/') == NULL;
}

/*
 * Opens a tenant's secret file. Returns the descriptor, or -1 with a reason.
 */
static int
open_secret_file(const char *tenant, const char *file, const char **reason)
{
	struct stat status;
	int			root;
	int			directory;
	int			descriptor;

	root = open(mt_setting_secret_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
	{
		*reason = "mindtickle.secret_directory cannot be opened";
		return -1;
	}
	directory = openat(root, tenant, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	close(root);
	if (directory < 0)
	{
		*reason = "the tenant has no directory below mindtickle.secret_directory, or it is a link";
		return -1;
	}
	descriptor = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	close(directory);
	if (descriptor < 0)
	{
		*reason = "the file cannot be opened, or it is a link";
		return -1;
	}
	if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
	{
		close(descriptor);
		*reason = "the file must be a plain file that only its owner can read (mode 0600 or 0400)";
		return -1;
	}
	return descriptor;
}

/*
 * mindtickle.read_secret_file(tenant, file) -> text: the file's content without the newline at its end. ERROR 58P01 or 22023 in words.
 */
Datum
mt_read_secret_file(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *file = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *reason = NULL;
	char		content[SECRET_MAX + 1];
	ssize_t		length = 0;
	int			descriptor;

	if (!mt_tenant_name_valid(tenant) || !file_name_valid(file))
		refuse_credential("the credential file", "has a name that is not allowed");
	if (mt_setting_secret_directory == NULL || mt_setting_secret_directory[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("mindtickle.secret_directory is not set")));

	descriptor = open_secret_file(tenant, file, &reason);
	if (descriptor >= 0)
	{
		length = read(descriptor, content, sizeof(content));
		close(descriptor);
		if (length > SECRET_MAX)
			length = 0;
		while (length > 0 && (content[length - 1] == '\n' || content[length - 1] == '\r'))
			length--;
		if (length <= 0)
			reason = "the file is empty, too long or cannot be read";
		else if (!pg_verify_mbstr(GetDatabaseEncoding(), content, (int) length, true))
			reason = "the file is no text in the encoding of the database";
	}
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("could not read a credential of tenant \"%s\" from file \"%s\"", tenant, file),
				 errdetail("%s", reason)));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(content, (int) length));
}

/* Reads one credential: a string, or an object that names a file. Sets secret or file. */
static void
read_credential(const char *name, const JsonbValue *value, Datum *secret, Datum *file)
{
	JsonbValue	found;

	*secret = *file = (Datum) 0;
	if (value->type == jbvString)
	{
		if (value->val.string.len < 1 || value->val.string.len > SECRET_MAX)
			refuse_credential(name, "must not be empty or longer than 8192 bytes");
		*secret = PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data) ||
		JsonContainerSize(value->val.binary.data) != 1 ||
		getKeyJsonValueFromContainer(value->val.binary.data, "file", 4, &found) == NULL || found.type != jbvString)
		refuse_credential(name, "must be a string or {\"file\": \"...\"}");
	if (!file_name_valid(pnstrdup(found.val.string.val, found.val.string.len)))
		refuse_credential(name, "names a file that is not allowed: one name, no \"/\", no leading \".\"");
	*file = PointerGetDatum(cstring_to_text_with_len(found.val.string.val, found.val.string.len));
}

/* Stores, or with null takes away, one credential. */
static void
store_credential(Datum tenant, const char *name, const JsonbValue *value)
{
	static MtPlan store = {
		"INSERT INTO mindtickle.credential AS c (tenant_id, name, secret, file, system_identifier) VALUES ($1, $2, $3, $4, $5) "
		"ON CONFLICT (tenant_id, name) DO UPDATE SET secret = excluded.secret, file = excluded.file, "
		"system_identifier = excluded.system_identifier, stored_at = excluded.stored_at",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID}
	};
	static MtPlan take_away = {
		"DELETE FROM mindtickle.credential WHERE tenant_id = $1 AND name = $2", 2, {TEXTOID, TEXTOID}
	};
	Datum		values[5] = {tenant, CStringGetTextDatum(name)};

	if (value->type == jbvNull)
	{
		mt_plan_run(&take_away, values, NULL, SPI_OK_DELETE);
		return;
	}
	read_credential(name, value, &values[2], &values[3]);
	values[4] = Int64GetDatum((int64) GetSystemIdentifier());
	mt_plan_run(&store, values, values[2] != (Datum) 0 ? "   n " : "  n  ", SPI_OK_INSERT);
}

/*
 * mt_set_credential(tenant, credential jsonb): owner only. Keys that are absent stay as they are, null takes one away.
 */
Datum
mt_set_credential(PG_FUNCTION_ARGS)
{
	static MtPlan forget = {
		"SELECT mindtickle.forget_listings($1)", 1, {TEXTOID}
	};
	static MtPlan note = {
		"UPDATE mindtickle.tenant AS t SET source_configured = c.present, source_version = t.source_version + 1, last_error = NULL, "
		"last_error_at = NULL, backoff_until = NULL, next_sync_at = CASE WHEN c.present THEN now() END "
		"FROM (SELECT count(*) > 0 AS present FROM mindtickle.credential WHERE tenant_id = $1) AS c WHERE t.tenant_id = $1",
		1, {TEXTOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *credential = PG_GETARG_JSONB_P(1);
	MtServiceCall call;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	Datum		tenant_datum = PG_GETARG_DATUM(0);

	mt_hide_statement("SELECT mt_set_credential(...)");
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	if (!JB_ROOT_IS_OBJECT(credential))
		refuse_credential("the credential", "must be a JSON object");
	iterator = JsonbIteratorInit(&credential->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		const char *name = NULL;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; credential_names[i] != NULL; i++)
			if (strlen(credential_names[i]) == (size_t) value.val.string.len &&
				memcmp(credential_names[i], value.val.string.val, value.val.string.len) == 0)
				name = credential_names[i];
		if (name == NULL)
			refuse_credential("the credential", "has a key that is none of api_key, secret_key, reporting_user, reporting_password, scim_token");
		(void) JsonbIteratorNext(&iterator, &value, true);
		store_credential(tenant_datum, name, &value);
	}
	mt_plan_run(&forget, &tenant_datum, NULL, SPI_OK_SELECT);
	mt_plan_run(&note, &tenant_datum, NULL, SPI_OK_UPDATE);
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	mt_mark_readiness(MT_MARK_RERUNS);
	mt_service_leave(&call);
	PG_RETURN_VOID();
}
