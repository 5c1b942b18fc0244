/*
 * mindtickle.c
 *		Entry of mindtickle.so: the module's magic, and _PG_init, which hands over to the files that own each thing.
 *
 * Loaded by every backend that calls one of the functions, and by the postmaster where shared_preload_libraries names it. Only in the
 * second case are there workers, shared memory and what the hook does for database commands; everything else works without.
 */
#include "mindtickle.h"

#include "access.h"
#include "alert.h"
#include "gateway_state.h"
#include "log_redaction.h"
#include "miscadmin.h"
#include "ring.h"
#include "readiness_store.h"
#include "request_slot.h"
#include "shared_state.h"
#include "spent_table.h"
#include "statistics.h"
#include "tenant_cache.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	mt_define_settings();
	mt_watch_access();
	mt_install_log_redaction();
	mt_install_statistics_hooks();
	mt_install_utility_hook(process_shared_preload_libraries_in_progress && !IsBinaryUpgrade);

	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
	{
		mt_request_shared_state();
		mt_request_alert_memory();
		mt_request_ring_memory();
		mt_request_spent_table_memory();
		mt_request_gateway_memory();
		mt_request_slot_memory();
		mt_request_cache_memory();
		mt_register_launcher();
	}
}
