/*
 * contract_live_scim.c
 *		Provisioning into MindTickle: not served yet.
 */
#include "contract_live.h"

void
mt_live_answer_scim(Call *call, Tenant *tenant)
{
	mt_live_refuse(call, tenant, MHD_HTTP_NOT_IMPLEMENTED, "not yet");
}
