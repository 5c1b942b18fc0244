/*
 * contract_live.h
 *		What the files of the live contract share. contract_live.c dispatches.
 */
#ifndef SANDBOX_CONTRACT_LIVE_H
#define SANDBOX_CONTRACT_LIVE_H

#include "contract.h"

typedef enum LiveRoute
{
	LIVE_SIGN_IN,
	LIVE_USERS,
	LIVE_USER,
	LIVE_GROUPS,
	LIVE_SERIES_LIST,
	LIVE_SERIES_MODULES,
	LIVE_ENTITY,
	LIVE_LEARNING_OBJECTS,
	LIVE_STATEMENTS,
	LIVE_REPORT,
	LIVE_SCIM,
	LIVE_UNROUTED
} LiveRoute;

/* contract_live.c: counting, refusals, parts of paths, and where a listing goes on. */
extern void mt_live_count(Tenant *tenant, uint64_t *counter);
extern void mt_live_refuse(Call *call, Tenant *tenant, unsigned status, const char *message);
extern void mt_live_not_found(Call *call, Tenant *tenant, IdKind kind, const char *id);
extern void mt_live_foreign_email(Tenant *tenant, const char *email);
extern void mt_live_put_next(Buffer *buffer, const Call *call, const Tenant *tenant, uint64_t trap, const char *path_and_query);
extern const char *mt_live_path_part(const Call *call, int part, char *text, size_t size);

/* contract_live_users.c */
extern void mt_live_answer_users(Call *call, Tenant *tenant);
extern void mt_live_answer_user(Call *call, Tenant *tenant);
extern void mt_live_answer_groups(Call *call, Tenant *tenant);

/* contract_live_training.c */
extern void mt_live_answer_series_list(Call *call, Tenant *tenant);
extern void mt_live_answer_series_modules(Call *call, Tenant *tenant);
extern void mt_live_answer_entity(Call *call, Tenant *tenant);
extern void mt_live_answer_learning_objects(Call *call, Tenant *tenant);

/* contract_live_statements.c */
extern void mt_live_answer_statements(Call *call, Tenant *tenant);

/* contract_live_report.c */
extern void mt_live_answer_report(Call *call, Tenant *tenant);

/* contract_live_scim.c */
extern void mt_live_answer_scim(Call *call, Tenant *tenant);

#endif							/* SANDBOX_CONTRACT_LIVE_H */
