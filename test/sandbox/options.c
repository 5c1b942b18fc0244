/*
 * options.c
 *		What the command line says.
 *
 * Called once by main, before anything else runs. It fills the table of
 * tenants; it never touches one afterwards.
 */
#include "options.h"

#include "tenant.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_USERS	1000000
#define MAX_COURSES	999
#define MAX_TENANTS	10000
#define PORT_OPTION	256			/* of the host with number 0 */

/* One --tenant or --tenants, read but not yet made. */
typedef struct Wish
{
	char	   *text;			/* what the names below point into */
	const char *name;			/* NULL: numbered ones */
	const char *key;
	const char *company;
	int			number;			/* how many numbered ones */
	int			users;			/* -1: not said, here and below */
	int			courses;
	int			per_second;
	int			per_minute;
	int			per_hour;
	int			bad_percent;
	int			live;			/* 0, 1, and 2: each in turn */
	int			region;			/* likewise, 1 is the US one */
	int			reporting;
	int			since;
	int			token_seconds;
	int			report_page;
} Wish;

/* The words that a field knows, by number. */
static const char *const contracts[] = {"reference", "live", "both", NULL};
static const char *const regions[] = {"global", "us", "both", NULL};
static const char *const yes_or_no[] = {"no", "yes", "both", NULL};

static const char help[] =
	"mindtickle-sandbox stands in for MindTickle's API: demo, tests and benchmarks.\n"
	"\n"
	"Usage: mindtickle-sandbox [OPTION]... --tenant NAME... | --tenants N\n"
	"\n"
	"  --listen ADDRESS         IPv4 address to listen on (127.0.0.1)\n"
	"  --port PORT              port, 0 for any free one (8090)\n"
	"  --port-file FILE         write the port there once listening; more lines name the live hosts\n"
	"  --seed N                 all data depend on it (1)\n"
	"  --threads N              threads that serve (1)\n"
	"  --tenant NAME[,FIELD=VALUE]...\n"
	"                           a tenant; may be repeated. Fields:\n"
	"                             key      API key (key-NAME)\n"
	"                             company  required X-Company-Id (none)\n"
	"                             users    number of users at revision 0 (39)\n"
	"                             courses  number of courses (12)\n"
	"                             rps      requests in any second, 0: no limit (4)\n"
	"                             rpm      requests in any minute, 0: no limit (60)\n"
	"                             rph      requests in any hour, 0: no limit (0)\n"
	"                             bad      bad records per 100 good ones\n"
	"                             contract reference, live, or both: in turn (reference)\n"
	"                             region   of a live tenant: global, us, or both (global)\n"
	"                             reporting  has a live tenant a reporting user: yes, no, or both (yes)\n"
	"                             since    does a reference tenant know since and updated_since: yes, no, or both (yes)\n"
	"                             token    how many seconds a live token is good (3600)\n"
	"                             page     rows on a page of the live report, 0: one page (1000)\n"
	"  --tenants N[,FIELD=VALUE]...\n"
	"                           tenant-0001 to tenant-N, of 5 to 400 users unless said\n"
	"  --bad-records PERCENT    bad records of tenants that do not say (0)\n"
	"  --fault KIND=PERCENT     share of requests with a fault, for all tenants; may be\n"
	"                           repeated. The kinds are in README.md\n"
	"  --slow-ms N              how long a slow answer takes (2000)\n"
	"  --hang-ms N              how long one that hangs takes (120000)\n"
	"  --minute-ms N            how long a minute of the limits is, and a 60th of an hour (60000)\n"
	"  --global-port, --us-port, --admin-port, --elsewhere-port PORT\n"
	"                           ports of the live contract's hosts (0: any free one)\n"
	"  --help                   this text\n"
	"\n"
	"It runs in the foreground until SIGTERM, SIGINT or POST /sandbox/stop.\n";

static void fail(const char *format,...) __attribute__((format(printf, 1, 2), noreturn));

static void
fail(const char *format,...)
{
	va_list		arguments;

	fputs("mindtickle-sandbox: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\nTry --help.\n", stderr);
	exit(2);
}

static long long
read_number(const char *what, const char *text, long long minimum, long long maximum)
{
	char	   *end;
	long long	value = strtoll(text, &end, 10);

	if (end == text || *end != '\0' || value < minimum || value > maximum)
		fail("%s must be a whole number from %lld to %lld, not \"%s\"", what, minimum, maximum, text);
	return value;
}

/* The number of a word. */
static int
read_word(const char *field, const char *text, const char *const *words)
{
	int			i;

	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	fail("%s cannot be \"%s\"", field, text);
}

/* Reads the comma-separated fields into the wish; cuts the text up. */
static void
read_fields(char *text, Wish *wish)
{
	char	   *rest = text;
	char	   *field;

	while ((field = strsep(&rest, ",")) != NULL)
	{
		char	   *value = strchr(field, '=');

		if (value == NULL)
			fail("a tenant's field is NAME=VALUE, not \"%s\"", field);
		*value++ = '\0';
		if (strcmp(field, "key") == 0 && wish->name != NULL && *value != '\0')
			wish->key = value;
		else if (strcmp(field, "company") == 0 && wish->name != NULL && *value != '\0')
			wish->company = value;
		else if (strcmp(field, "users") == 0)
			wish->users = (int) read_number(field, value, 0, MAX_USERS);
		else if (strcmp(field, "courses") == 0)
			wish->courses = (int) read_number(field, value, 0, MAX_COURSES);
		else if (strcmp(field, "rps") == 0)
			wish->per_second = (int) read_number(field, value, 0, 1000000);
		else if (strcmp(field, "rpm") == 0)
			wish->per_minute = (int) read_number(field, value, 0, 1000000);
		else if (strcmp(field, "rph") == 0)
			wish->per_hour = (int) read_number(field, value, 0, 1000000);
		else if (strcmp(field, "contract") == 0)
			wish->live = read_word(field, value, contracts);
		else if (strcmp(field, "region") == 0)
			wish->region = read_word(field, value, regions);
		else if (strcmp(field, "reporting") == 0)
			wish->reporting = read_word(field, value, yes_or_no);
		else if (strcmp(field, "since") == 0)
			wish->since = read_word(field, value, yes_or_no);
		else if (strcmp(field, "token") == 0)
			wish->token_seconds = (int) read_number(field, value, 1, 1000000);
		else if (strcmp(field, "page") == 0)
			wish->report_page = (int) read_number(field, value, 0, 1000000);
		else if (strcmp(field, "bad") == 0)
			wish->bad_percent = (int) read_number(field, value, 0, 100);
		else
			fail("no such field of a tenant, or no value for it: \"%s\"", field);
	}
}

static char *
copy(const char *text)
{
	char	   *result = mt_allocate(strlen(text) + 1, 1);

	return strcpy(result, text);
}

static void
read_wish(const char *text, bool numbered, Wish *wish)
{
	/* A copy is cut up, as the argument itself is what ps shows. */
	char	   *rest = copy(text);
	char	   *whole = rest;
	char	   *first = strsep(&rest, ",");

	*wish = (Wish) {.text = whole, .users = -1, .courses = -1, .per_second = -1, .per_minute = -1,
		.per_hour = -1, .bad_percent = -1, .reporting = 1, .since = 1, .report_page = -1};
	if (numbered)
		wish->number = (int) read_number("--tenants", first, 1, MAX_TENANTS);
	else
	{
		size_t		length = strlen(first);

		if (length == 0 || length > 63 ||
			length != strspn(first, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"))
			fail("a tenant's name is 1 to 63 letters, digits, \"_\", \".\" or \"-\", not \"%s\"", first);
		wish->name = first;
	}
	if (rest != NULL)
		read_fields(rest, wish);
}

static void
make_tenant(const Wish *wish, const char *name, int default_users, const FaultPlan *faults, int bad_percent)
{
	char		key[80];
	Tenant	   *tenant;

	snprintf(key, sizeof(key), "key-%s", name);
	tenant = mt_tenant_add(copy(name), copy(wish->key != NULL ? wish->key : key),
						   wish->company != NULL ? copy(wish->company) : NULL);
	if (tenant == NULL)
		fail("tenant \"%s\" has the name or the key of another", name);
	tenant->data.users = wish->users >= 0 ? wish->users : default_users;
	tenant->data.courses = wish->courses >= 0 ? wish->courses : 12;
	tenant->data.bad_percent = wish->bad_percent >= 0 ? wish->bad_percent : bad_percent;
	tenant->rate.per_second = wish->per_second >= 0 ? wish->per_second : 4;
	tenant->rate.per_minute = wish->per_minute >= 0 ? wish->per_minute : 60;
	tenant->rate.per_hour = wish->per_hour >= 0 ? wish->per_hour : 0;
	/* "both": the first tenant one way, the second the other; regions change after two, reporting after four. */
	tenant->live = wish->live == 2 ? tenant->number % 2 == 1 : wish->live == 1;
	tenant->region = (wish->region == 2 ? tenant->number / 2 % 2 == 1 : wish->region == 1) ? HOST_US : HOST_GLOBAL;
	tenant->reporting = wish->reporting == 2 ? tenant->number / 4 % 2 == 0 : wish->reporting != 0;
	tenant->knows_since = wish->since == 2 ? tenant->number % 2 == 0 : wish->since != 0;
	tenant->token_seconds = wish->token_seconds > 0 ? wish->token_seconds : 3600;
	tenant->report_page = wish->report_page >= 0 ? wish->report_page : 1000;
	tenant->faults = *faults;
}

static void
make_tenants(const Wish *wish, const FaultPlan *faults, int bad_percent)
{
	static const int sizes[] = {5, 12, 39, 25, 80, 8, 150, 39, 400, 16};
	char		name[32];
	int			i;

	if (wish->name != NULL)
	{
		make_tenant(wish, wish->name, 39, faults, bad_percent);
		return;
	}
	for (i = 0; i < wish->number; i++)
	{
		snprintf(name, sizeof(name), "tenant-%04d", i + 1);
		make_tenant(wish, name, sizes[i % 10], faults, bad_percent);
	}
}

static void
read_fault(const char *argument, FaultPlan *faults)
{
	char	   *text = copy(argument);
	char	   *percent = strchr(text, '=');
	Fault		fault;

	if (percent == NULL)
		fail("--fault is KIND=PERCENT, not \"%s\"", argument);
	*percent++ = '\0';
	fault = mt_fault_find(text);
	if (fault == FAULT_NONE)
		fail("no such kind of fault: \"%s\"", text);
	if (!mt_fault_set(faults, fault, percent, FAULT_EVERYWHERE))
		fail("the percentages of all faults together are 0 to 100: \"%s\" for %s", percent, text);
	free(text);
}

/* Reads an option that is a number; false when it is none of these. */
static bool
read_figure(int option, Options *options)
{
	switch (option)
	{
		case 's':
			options->seed = (uint64_t) read_number("--seed", optarg, 0, INT64_MAX);
			return true;
		case 't':
			options->threads = (int) read_number("--threads", optarg, 1, 64);
			return true;
		case 'w':
			options->slow_ms = (int) read_number("--slow-ms", optarg, 0, 3600000);
			return true;
		case 'W':
			options->hang_ms = (int) read_number("--hang-ms", optarg, 0, 3600000);
			return true;
		case 'm':
			mt_rate_set_minute((int) read_number("--minute-ms", optarg, 1000, 60000));
			return true;
		case PORT_OPTION + HOST_MAIN:
		case PORT_OPTION + HOST_GLOBAL:
		case PORT_OPTION + HOST_US:
		case PORT_OPTION + HOST_ADMIN:
		case PORT_OPTION + HOST_ELSEWHERE:
			options->ports[option - PORT_OPTION] = (int) read_number("a port", optarg, 0, 65535);
			return true;
		default:
			return false;
	}
}

void
mt_options_read(int argc, char **argv, Options *options)
{
	static const struct option known[] = {
		{"listen", required_argument, NULL, 'l'}, {"port", required_argument, NULL, PORT_OPTION + HOST_MAIN},
		{"port-file", required_argument, NULL, 'P'}, {"seed", required_argument, NULL, 's'},
		{"threads", required_argument, NULL, 't'}, {"tenant", required_argument, NULL, 'n'},
		{"tenants", required_argument, NULL, 'N'}, {"fault", required_argument, NULL, 'f'},
		{"slow-ms", required_argument, NULL, 'w'}, {"hang-ms", required_argument, NULL, 'W'},
		{"minute-ms", required_argument, NULL, 'm'}, {"global-port", required_argument, NULL, PORT_OPTION + HOST_GLOBAL},
		{"us-port", required_argument, NULL, PORT_OPTION + HOST_US},
		{"admin-port", required_argument, NULL, PORT_OPTION + HOST_ADMIN},
		{"elsewhere-port", required_argument, NULL, PORT_OPTION + HOST_ELSEWHERE}, {"bad-records", required_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}
	};
	Wish	   *wishes = mt_allocate((size_t) argc, sizeof(Wish));
	int			wish_count = 0;
	FaultPlan	faults = {0};
	int			bad_percent = 0;
	int			option;
	int			i;

	*options = (Options) {.listen = "127.0.0.1", .ports = {8090}, .threads = 1, .slow_ms = 2000, .hang_ms = 120000, .seed = 1};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
	{
		switch (option)
		{
			case 'l':
				options->listen = optarg;
				break;
			case 'P':
				options->port_file = optarg;
				break;
			case 'n':
			case 'N':
				read_wish(optarg, option == 'N', &wishes[wish_count++]);
				break;
			case 'f':
				read_fault(optarg, &faults);
				break;
			case 'b':
				bad_percent = (int) read_number("--bad-records", optarg, 0, 100);
				break;
			case 'h':
				fputs(help, stdout);
				exit(0);
			default:
				if (read_figure(option, options))
					break;
				fputs("Try --help.\n", stderr);
				exit(2);
		}
	}
	if (optind < argc)
		fail("what is \"%s\"?", argv[optind]);
	if (wish_count == 0)
		fail("no tenant given");
	/* Made last, so that --fault and --bad-records hold wherever they stand. */
	for (i = 0; i < wish_count; i++)
	{
		make_tenants(&wishes[i], &faults, bad_percent);
		free(wishes[i].text);
	}
	free(wishes);
}
