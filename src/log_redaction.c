/*
 * log_redaction.c
 *		Keeps tokens out of the server log, also where log_statement and the like log statements with their parameters, and secrets out of
 *		the statement that other sessions see.
 *
 * Every message on its way to the log passes the hook, which replaces what follows "mtk_". Where the library is preloaded that holds for all
 * backends, else only for those that have called one of its functions; mt_check() warns. Messages of other programs in front of the server
 * are out of reach. debug_print_parse and its kin, which anybody may switch on, show constants as lists of bytes: those are replaced as well.
 */
#include "log_redaction.h"

#include <ctype.h>

#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#define TOKEN_MARK		"mtk_"
/* What stands for the digits, and how many make a token, or enough of one to be worth hiding. */
#define REDACTED		"***"
#define DIGITS_MIN		8
/* Instead of a text for which there is no memory. */
#define NOT_SHOWN		"(not shown: it holds a token)"

/* The mark as debug_print_parse shows it. */
static const char *const mark_bytes[] = {"109", "116", "107", "95"};

static emit_log_hook_type previous_emit_log_hook = NULL;

/* The first token in the text, and the number of digits behind its mark; NULL where there is none. */
static const char *
find_token(const char *text, size_t *digits)
{
	for (text = strstr(text, TOKEN_MARK); text != NULL; text = strstr(text + strlen(TOKEN_MARK), TOKEN_MARK))
	{
		*digits = strspn(text + strlen(TOKEN_MARK), "0123456789abcdefABCDEF");
		if (*digits >= DIGITS_MIN)
			return text;
	}
	return NULL;
}

/*
 * The text with the digits of every token replaced, palloc'd; NULL where there is none in it. Raises no error: it runs while one is reported.
 */
char *
mt_redact_tokens(const char *text)
{
	size_t		digits;
	const char *token = text == NULL ? NULL : find_token(text, &digits);
	char	   *result;
	char	   *end;

	if (token == NULL)
		return NULL;
	/* It only becomes shorter. */
	result = MemoryContextAllocExtended(CurrentMemoryContext, strlen(text) + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (result == NULL)
		return NOT_SHOWN;
	end = result;
	while (token != NULL)
	{
		size_t		length = (size_t) (token - text) + strlen(TOKEN_MARK);

		memcpy(end, text, length);
		end += length;
		memcpy(end, REDACTED, strlen(REDACTED));
		end += strlen(REDACTED);
		text += length + digits;
		token = find_token(text, &digits);
	}
	strcpy(end, text);
	return result;
}

/* Behind the mark in bytes, where the text begins with it; NULL where it does not. A long list is broken into lines. */
static char *
skip_mark_bytes(char *text)
{
	for (int i = 0; i < (int) lengthof(mark_bytes); i++)
	{
		size_t		length = strlen(mark_bytes[i]);

		if (strncmp(text, mark_bytes[i], length) != 0 || !isspace((unsigned char) text[length]))
			return NULL;
		text += length;
		text += strspn(text, " \t\n");
	}
	return text;
}

/* Replaces, in place, the bytes of every token in what debug_print_parse and its kin show. */
static void
redact_token_bytes(char *text)
{
	while (text != NULL && (text = strstr(text, mark_bytes[0])) != NULL)
	{
		char	   *digits = skip_mark_bytes(text);

		text += strlen(mark_bytes[0]);
		if (digits == NULL)
			continue;
		for (text = digits; *text != '\0' && strchr("0123456789 \t\n", *text) != NULL; text++)
			if (isdigit((unsigned char) *text))
				*text = '*';
	}
}

/* A field of a message is in memory of the message's own, and freed with it: where there is none for another text, it is cut short. */
static void
redact_field(char **field)
{
	char	   *redacted = mt_redact_tokens(*field);

	if (redacted != NULL && strcmp(redacted, NOT_SHOWN) == 0)
		strlcpy(*field, NOT_SHOWN, strlen(*field) + 1);
	else if (redacted != NULL)
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
	redact_token_bytes(edata->detail);
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
