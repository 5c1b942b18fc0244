/*
 * alert.h
 *		Refused attempts to reach a tenant: see alert.c.
 */
#ifndef MT_ALERT_H
#define MT_ALERT_H

#include "mindtickle.h"

extern void mt_request_alert_memory(void);
extern void mt_alert(const char *tenant_asked, const char *object);
extern void mt_alert_context(const char *setting);
extern void mt_forget_alerts_of_dropped(void);

#endif							/* MT_ALERT_H */
