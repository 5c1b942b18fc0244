/*
 * contract_live.h
 *		Parts of the live contract that have files of their own.
 */
#ifndef MT_CONTRACT_LIVE_H
#define MT_CONTRACT_LIVE_H

#include "contract.h"

/* contract_live_user.c */
extern void mt_live_canonical_user(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical);
extern void mt_live_canonical_member(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical);

/* contract_live_statement.c */
extern void mt_live_canonical_statement(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical);

/* contract_live_report.c */
extern void mt_live_request_report(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call);
extern void mt_live_request_user_report(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call);
extern const char *mt_live_read_report(const char *body, size_t length, const MtCursor *cursor, MtPage *page);
extern void mt_live_canonical_report(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical);

#endif							/* MT_CONTRACT_LIVE_H */
