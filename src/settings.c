/*
 * settings.c
 *		Every setting of mindtickle, defined in one place and called once by _PG_init.
 *
 * mindtickle.tenant proves nothing: anyone may set it, and the right to it is checked where it is used (access.c). mindtickle.token_id is
 * the proof that a token was shown: mt_set_tenant and enter_token set it, nobody else may, and it holds the token's number, never its text.
 * mindtickle.token_scope is set by enter_token and bounds the service role. They are settings because settings reach parallel workers and end
 * with the (sub)transaction. The others are the administrator's and take effect on reload.
 *
 * What the gateway alone needs (mindtickle.gateway_...) is defined here too, and read by it by name.
 */
#include "mindtickle.h"

#include "access.h"
#include "shared_state.h"
#include "utils/guc.h"

char	   *mt_setting_tenant = NULL;
char	   *mt_setting_token_id = NULL;
char	   *mt_setting_token_scope = NULL;
char	   *mt_setting_service_role = NULL;
char	   *mt_setting_databases = NULL;
char	   *mt_setting_gateway_database = NULL;
int			mt_setting_gateway_port = 3000;
int			mt_setting_gateway_requests_per_second = 200;
int			mt_setting_gateway_workers = 2;
char	   *mt_setting_secret_directory = NULL;
bool		mt_setting_sync_enabled = true;
bool		mt_setting_notify = true;
char	   *mt_setting_public_url = NULL;

/* Moves with every change of the settings that make up the context. */
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

static void
define_gateway_texts(void)
{
	static char *listen;
	static char *certificate;
	static char *key;

	DefineCustomStringVariable("mindtickle.gateway_database",
							   "Database that the HTTP gateway serves.",
							   "Empty: the only one that has the extension.",
							   &mt_setting_gateway_database, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("mindtickle.gateway_listen",
							   "IP address on which the HTTP gateway listens.",
							   "One that is not of the loopback interface needs TLS, or mindtickle.gateway_allow_plain.",
							   &listen, "127.0.0.1",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("mindtickle.gateway_tls_certificate",
							   "File with the gateway's TLS certificate and its chain, PEM.",
							   "Empty: HTTP without TLS. Relative to the data directory.",
							   &certificate, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);

	DefineCustomStringVariable("mindtickle.gateway_tls_key",
							   "File with the private key of the gateway's TLS certificate, PEM.",
							   "Relative to the data directory.",
							   &key, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

static void
define_gateway_numbers(void)
{
	static int	connections;
	static int	connections_per_address;
	static int	pull_wait;
	static int	request_timeout;
	static int	statement_timeout;

	DefineCustomIntVariable("mindtickle.gateway_connections",
							"Connections that one process of the HTTP gateway keeps open.",
							NULL,
							&connections, 2000, 16, 60000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_connections_per_address",
							"Connections that one process of the HTTP gateway keeps open to one address.",
							"0: no limit, as behind a proxy, where all come from one address.",
							&connections_per_address, 0, 0, 60000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_port",
							"TCP port of the HTTP gateway.",
							"0: there is none.",
							&mt_setting_gateway_port, 3000, 0, 65535,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_pull_wait",
							"How long sync-progress waits for a pull before it answers that one is under way.",
							NULL,
							&pull_wait, 20000, 0, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_request_timeout",
							"How long the HTTP gateway waits for a request to arrive whole, and keeps an idle connection.",
							NULL,
							&request_timeout, 30000, 100, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_requests_per_second",
							"Requests a second that each tenant can make through the HTTP gateway, two seconds' worth of them at once.",
							"0: any number.",
							&mt_setting_gateway_requests_per_second, 200, 0, 1000000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_statement_timeout",
							"Longest time that a request through the HTTP gateway can take in the database.",
							NULL,
							&statement_timeout, 10000, 100, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mindtickle.gateway_workers",
							"Processes of the HTTP gateway.",
							NULL,
							&mt_setting_gateway_workers, 2, 0, MT_GATEWAYS_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_gateway_settings(void)
{
	static bool allow_plain;
	static int	log_requests;
	static const struct config_enum_entry log_choices[] = {
		{"none", 0, false},
		{"errors", 1, false},
		{"all", 2, false},
		{NULL, 0, false}
	};

	DefineCustomBoolVariable("mindtickle.gateway_allow_plain",
							 "Lets the HTTP gateway listen without TLS on an address that others can reach.",
							 "Tokens and data then cross the network readable for everybody on it.",
							 &allow_plain, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomEnumVariable("mindtickle.gateway_log",
							 "Requests to the HTTP gateway that are logged.",
							 "Of those answered with an error, at most 20 a second.",
							 &log_requests, 1, log_choices,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_gateway_texts();
	define_gateway_numbers();
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

	define_gateway_settings();

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

	DefineCustomStringVariable("mindtickle.token_scope",
							   "Scope to which the token that was entered bounds the service role.",
							   "Set by mindtickle.enter_token alone.",
							   &mt_setting_token_scope, "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL, assign_context, NULL);

	MarkGUCPrefixReserved("mindtickle");
}
