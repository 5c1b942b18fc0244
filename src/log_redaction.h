/*
 * log_redaction.h
 *		Tokens do not get into the log: see log_redaction.c.
 */
#ifndef MT_LOG_REDACTION_H
#define MT_LOG_REDACTION_H

#include "mindtickle.h"

extern void mt_install_log_redaction(void);
extern char *mt_redact_tokens(const char *text);
extern void mt_hide_statement(const char *instead);
extern void mt_hide_tokens_of_statement(void);

#endif							/* MT_LOG_REDACTION_H */
