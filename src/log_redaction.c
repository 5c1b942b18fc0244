/*
 * log_redaction.c
 *		Keeps tokens out of the server log, also where log_statement and the like log statements with their parameters, and secrets out of
 *		the statement that other sessions see.
 *
 * Every message on its way to the log passes the hook, which replaces what follows "mtk_". Where the library is preloaded that holds for all
 * backends, else only for those that have called one of its functions; mt_check() warns. Messages of other programs in front of the server
 * are out of reach.
 */
#include "log_redaction.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#define TOKEN_MARK		"mtk_"
#define REDACTED		"mtk_***"

static emit_log_hook_type previous_emit_log_hook = NULL;

/*
 * The text with every token replaced, palloc'd; NULL where there is none in it.
 */
char *
mt_redact_tokens(const char *text)
{
	const char *mark = text == NULL ? NULL : strstr(text, TOKEN_MARK);
	StringInfoData buffer;

	if (mark == NULL)
		return NULL;
	initStringInfo(&buffer);
	while (mark != NULL)
	{
		appendBinaryStringInfo(&buffer, text, (int) (mark - text));
		appendStringInfoString(&buffer, REDACTED);
		text = mark + strlen(TOKEN_MARK);
		while (isalnum((unsigned char) *text) || *text == '*')
			text++;
		mark = strstr(text, TOKEN_MARK);
	}
	appendStringInfoString(&buffer, text);
	return buffer.data;
}

static void
redact_field(char **field)
{
	char	   *redacted = mt_redact_tokens(*field);

	if (redacted != NULL)
		*field = redacted;
}

/* The statement as it is logged behind a message. It lives until the next one comes. */
static void
redact_statement(void)
{
	MemoryContext previous = MemoryContextSwitchTo(MessageContext != NULL ? MessageContext : TopMemoryContext);
	char	   *redacted = mt_redact_tokens(debug_query_string);

	if (redacted != NULL)
		debug_query_string = redacted;
	MemoryContextSwitchTo(previous);
}

static void
redact_message(ErrorData *edata)
{
	redact_field(&edata->message);
	redact_field(&edata->detail);
	redact_field(&edata->detail_log);
	redact_field(&edata->hint);
	redact_field(&edata->context);
	redact_field(&edata->internalquery);
	redact_statement();
	if (previous_emit_log_hook)
		previous_emit_log_hook(edata);
}

/*
 * Puts the hook in place. By _PG_init.
 */
void
mt_install_log_redaction(void)
{
	previous_emit_log_hook = emit_log_hook;
	emit_log_hook = redact_message;
}

/*
 * From here on pg_stat_activity, and the log of an error, show this instead of the statement, which may hold a secret.
 */
void
mt_hide_statement(const char *instead)
{
	pgstat_report_activity(STATE_RUNNING, instead);
	debug_query_string = instead;
}

/*
 * The same for the tokens in the statement, where there are some: they were given as literals.
 */
void
mt_hide_tokens_of_statement(void)
{
	if (debug_query_string == NULL || strstr(debug_query_string, TOKEN_MARK) == NULL)
		return;
	redact_statement();
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
}
