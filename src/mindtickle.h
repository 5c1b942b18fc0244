/*
 * mindtickle.h
 *		What every file of mindtickle.so shares: limits, access levels, and the entry points that _PG_init calls.
 *
 * Only PostgreSQL's own headers may be included in src/: this library is loaded by every backend.
 */
#ifndef MINDTICKLE_H
#define MINDTICKLE_H

#include "postgres.h"

#include "fmgr.h"

/* Version of the extension's SQL that this library was written for; see api_version.c. */
#define MT_EXTENSION_VERSION	"0.1.0"

/* Longest tenant id, and longest id from outside, in bytes. */
#define MT_TENANT_MAX		32
#define MT_ID_MAX			255

/* Deepest JSON that is taken in. */
#define MT_JSON_DEPTH_MAX	64

/* How far a role may go for a tenant; each level includes the ones before it. */
typedef enum MtAccess
{
	MT_ACCESS_NONE = 0,
	MT_ACCESS_READER,
	MT_ACCESS_WRITER,
	MT_ACCESS_ADMIN,
	MT_ACCESS_OWNER				/* the extension's owner, superusers, and for internal calls the service role */
} MtAccess;

/* settings.c */
extern void mt_define_settings(void);
extern char *mt_setting_tenant;
extern char *mt_setting_token_id;
extern char *mt_setting_token_scope;
extern uint64 mt_context_changes;
extern char *mt_setting_service_role;
extern char *mt_setting_databases;
extern char *mt_setting_gateway_database;
extern int mt_setting_gateway_port;
extern int mt_setting_gateway_requests_per_second;
extern int mt_setting_gateway_workers;
extern char *mt_setting_secret_directory;
extern bool mt_setting_sync_enabled;
extern bool mt_setting_notify;
extern char *mt_setting_public_url;

/* utility_hook.c */
extern void mt_install_utility_hook(bool preloaded);

/* launcher.c */
extern void mt_register_launcher(void);

#endif							/* MINDTICKLE_H */
