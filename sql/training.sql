/*
 * Courses, quizzes, progress and quiz results. Progress and results have no foreign key to users or course: they may arrive first and are
 * accepted.
 */
CREATE TABLE mindtickle.course (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	course_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (pg_catalog.octet_length(course_id) OPERATOR(pg_catalog.>=) 1 AND pg_catalog.octet_length(course_id) OPERATOR(pg_catalog.<=) 255),
	title pg_catalog.text,
	kind pg_catalog.text,
	source pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	updated_at pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, course_id)
);
COMMENT ON TABLE mindtickle.course IS 'the catalog of a tenant';

CREATE TABLE mindtickle.quiz (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	quiz_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (pg_catalog.octet_length(quiz_id) OPERATOR(pg_catalog.>=) 1 AND pg_catalog.octet_length(quiz_id) OPERATOR(pg_catalog.<=) 255),
	course_id pg_catalog.text COLLATE pg_catalog."C",
	title pg_catalog.text,
	max_score pg_catalog.numeric,
	passing_score pg_catalog.numeric,
	PRIMARY KEY (tenant_id, quiz_id)
);
COMMENT ON TABLE mindtickle.quiz IS 'quizzes of a tenant, as far as results or the catalog told of them';

CREATE TABLE mindtickle.course_progress (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	course_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	status pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (status OPERATOR(pg_catalog.=) ANY (ARRAY['not_started', 'in_progress', 'completed'])),
	score pg_catalog.numeric(7, 4) CHECK (score OPERATOR(pg_catalog.>=) 0 AND score OPERATOR(pg_catalog.<=) 100),
	completed_at pg_catalog.timestamptz,
	invited_at pg_catalog.timestamptz,
	started_at pg_catalog.timestamptz,
	due_at pg_catalog.timestamptz,
	is_overdue pg_catalog.bool,
	has_failed pg_catalog.bool,
	percent_completed pg_catalog.numeric(7, 4) CHECK (percent_completed OPERATOR(pg_catalog.>=) 0 AND percent_completed OPERATOR(pg_catalog.<=) 100),
	max_score pg_catalog.numeric,
	updated_at pg_catalog.timestamptz,
	synced_at pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, user_id, course_id)
) WITH (fillfactor = 90);
COMMENT ON TABLE mindtickle.course_progress IS 'where each user stands in each course';
COMMENT ON COLUMN mindtickle.course_progress.score IS 'percent, 0 to 100; NULL: no score, which is not a score of 0';
COMMENT ON COLUMN mindtickle.course_progress.updated_at IS 'moment of the change as its source gave it; NULL: the source gave none, or one more than a day ahead';
COMMENT ON COLUMN mindtickle.course_progress.synced_at IS 'when a pull last changed the row';

CREATE TABLE mindtickle.quiz_submission (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	course_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	quiz_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	submitted_at pg_catalog.timestamptz NOT NULL,
	answers pg_catalog.jsonb,
	score pg_catalog.numeric(7, 4) CHECK (score OPERATOR(pg_catalog.>=) 0 AND score OPERATOR(pg_catalog.<=) 100),
	computed_score pg_catalog.numeric(7, 4),
	attempt pg_catalog.int4,
	passed pg_catalog.bool,
	max_score pg_catalog.numeric,
	raw_score pg_catalog.numeric,
	source pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	received_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (tenant_id, user_id, course_id, quiz_id, submitted_at)
);
COMMENT ON TABLE mindtickle.quiz_submission IS 'every recorded attempt at a quiz';
COMMENT ON COLUMN mindtickle.quiz_submission.score IS 'percent as its source gave it, else computed_score; NULL: not graded';
COMMENT ON COLUMN mindtickle.quiz_submission.computed_score IS 'what mt_score_quiz makes of the answers';
