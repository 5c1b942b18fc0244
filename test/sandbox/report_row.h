/*
 * report_row.h
 *		A row of the report: a learner, a module, and one of the series it is in.
 */
#ifndef SANDBOX_REPORT_ROW_H
#define SANDBOX_REPORT_ROW_H

#include "live_data.h"

typedef struct ReportRow
{
	int			user;
	int			course;
	int			series;
	LivePerformance performance;
	bool		lags;			/* not the first series of the module, and behind the first */
} ReportRow;

/* Fills in performance and lags; false when the module is not the learner's. */
extern bool mt_report_row(const DataSet *data, int revision, ReportRow *row);

/* Append a row as JSON or CSV, and the line of column names, whose order differs. */
extern void mt_report_put_json(Buffer *buffer, const DataSet *data, int revision, const ReportRow *row);
extern void mt_report_put_header(Buffer *buffer, const DataSet *data);
extern void mt_report_put_csv(Buffer *buffer, const DataSet *data, int revision, const ReportRow *row);

/* Append a row of SeriesCollection, SeriesModules or Modules. */
extern void mt_report_put_small(Buffer *buffer, const DataSet *data, const char *set, int series, int course);

#endif							/* SANDBOX_REPORT_ROW_H */
