/*
 * settings.c
 *		Every setting of mindtickle, defined in one place and called once by _PG_init.
 *
 * mindtickle.tenant proves nothing: anyone may set it, and the right to it is checked where it is used (access.c). mindtickle.token_id is
 * the proof that a token was shown: mt_set_tenant sets it, nobody else may, and it holds the token's number, never its text. Both are settings
 * because settings reach parallel workers and end with the (sub)transaction. The others are the administrator's and take effect on reload.
 */
#include "mindtickle.h"

#include "access.h"
#include "utils/guc.h"

char	   *mt_setting_tenant = NULL;
char	   *mt_setting_token_id = NULL;
char	   *mt_setting_service_role = NULL;
char	   *mt_setting_databases = NULL;
char	   *mt_setting_secret_directory = NULL;
bool		mt_setting_sync_enabled = true;
bool		mt_setting_notify = true;
char	   *mt_setting_public_url = NULL;

/* Moves with every change of the two settings that make up the context. */
uint64		mt_context_changes = 1;

static void
assign_context(const char *newval, void *extra)
{
	mt_context_changes++;
}

/* Nothing, or a URL as a client would write it down, without a slash at its end. */
static bool
check_public_url(char **newval, void **extra, GucSource source)
{
	const char *host = *newval;

	if (host[0] == '\0')
		return true;
	if (strncmp(host, "https://", strlen("https://")) == 0)
		host += strlen("https://");
	else if (strncmp(host, "http://", strlen("http://")) == 0)
		host += strlen("http://");
	else
	{
		GUC_check_errdetail("It must begin with https:// or http://.");
		return false;
	}
	for (const char *c = host; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || strchr("\"\\<>?#@", *c) != NULL)
		{
			GUC_check_errdetail("It must hold nothing but a host, a port and a path.");
			return false;
		}
	if (host[0] == '\0' || host[0] == '/' || host[strlen(host) - 1] == '/')
	{
		GUC_check_errdetail("It must name a host and not end with a slash.");
		return false;
	}
	return true;
}

/* Who is the service role decides who may do what, so what was looked up under the old name is forgotten. */
static void
assign_service_role(const char *newval, void *extra)
{
	mt_forget_access_here();
}

/*
 * Defines the settings and reserves the prefix, so that a misspelt name is an error instead of a setting without effect.
 */
void
mt_define_settings(void)
{
	DefineCustomStringVariable("mindtickle.databases",
							   "Databases in which workers run, separated by commas.",
							   "Empty: every database that has the extension.",
							   &mt_setting_databases, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);

	DefineCustomBoolVariable("mindtickle.notify",
							 "Sends a NOTIFY for each batch of published events.",
							 "Off: consumers poll.",
							 &mt_setting_notify, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("mindtickle.public_url",
							   "URL under which clients reach the gateway, such as \"https://scim.example.com\".",
							   "Locations of resources begin with it; empty: they begin with the path.",
							   &mt_setting_public_url, "",
							   PGC_SIGHUP, 0, check_public_url, NULL, NULL);

	DefineCustomStringVariable("mindtickle.secret_directory",
							   "Directory below which credentials kept in files are read, one directory a tenant.",
							   NULL,
							   &mt_setting_secret_directory, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);

	DefineCustomStringVariable("mindtickle.service_role",
							   "Role as which workers and writing functions act.",
							   "It has no login, is no superuser, cannot bypass row security and has no members.",
							   &mt_setting_service_role, "mindtickle_service",
							   PGC_SIGHUP, 0, NULL, assign_service_role, NULL);

	DefineCustomBoolVariable("mindtickle.sync_enabled",
							 "Lets the sync worker call MindTickle.",
							 "Off: no call goes upstream, for any tenant.",
							 &mt_setting_sync_enabled, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("mindtickle.tenant",
							   "Tenant for which the current role acts.",
							   "Counts only where the role has a grant for the tenant.",
							   &mt_setting_tenant, "",
							   PGC_USERSET, 0, NULL, assign_context, NULL);

	DefineCustomStringVariable("mindtickle.token_id",
							   "Number of the token that was shown for the tenant.",
							   "Set by mt_set_tenant alone.",
							   &mt_setting_token_id, "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL, assign_context, NULL);

	MarkGUCPrefixReserved("mindtickle");
}
