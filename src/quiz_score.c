/*
 * quiz_score.c
 *		Scores quiz answers: 100 x points of correct answers / points of all, rounded half away from zero to 4 places.
 *
 * Called by mt_score_quiz, and by quiz_result.c for the figure that is kept beside a given score. Reads the stored jsonb with its iterator and
 * copies nothing; whole points, which is nearly all there are, are added as integers.
 */
#include "quiz_score.h"

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define ANSWERS_MAX			10000
#define POINTS_MAX			1000000
/* Slots on the stack for the ids seen; a quiz of up to half as many questions needs no other memory. */
#define SMALL_QUIZ_SLOTS	64

/* Points so far, split so that numeric arithmetic is needed only for fractions. */
typedef struct PointSum
{
	int64		whole;
	Numeric		fractional;		/* NULL: none */
} PointSum;

/* Question ids seen, in a table of open addressing. */
typedef struct SeenQuestions
{
	uint32		mask;
	struct
	{
		const char *id;
		int			length;
	}		   *slots;
} SeenQuestions;

/* One answer as far as it counts. */
typedef struct Answer
{
	const char *question_id;
	int			question_id_length;
	bool		has_correct;
	bool		correct;
	Numeric		points;			/* NULL: 1 */
} Answer;

PG_FUNCTION_INFO_V1(mt_score_quiz);

/* Adds an id; false when it was there. */
static bool
add_question(SeenQuestions *seen, const char *id, int length)
{
	uint32		slot = hash_bytes((const unsigned char *) id, length) & seen->mask;

	while (seen->slots[slot].id != NULL)
	{
		if (seen->slots[slot].length == length && memcmp(seen->slots[slot].id, id, length) == 0)
			return false;
		slot = (slot + 1) & seen->mask;
	}
	seen->slots[slot].id = id;
	seen->slots[slot].length = length;
	return true;
}

static void
add_points(PointSum *sum, Numeric points)
{
	if (points == NULL)
		sum->whole++;
	else if (DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(points))) == 0)
		sum->whole += DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(points)));
	else
		sum->fractional = sum->fractional == NULL ? points :
			DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(sum->fractional), NumericGetDatum(points)));
}

static Datum
sum_as_numeric(const PointSum *sum)
{
	Datum		whole = DirectFunctionCall1(int8_numeric, Int64GetDatum(sum->whole));

	return sum->fractional == NULL ? whole : DirectFunctionCall2(numeric_add, whole, NumericGetDatum(sum->fractional));
}

static bool
key_is(const JsonbValue *key, const char *name)
{
	return key->val.string.len == (int) strlen(name) && memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

/* Takes one key and value of an answer. */
static void
take_pair(MtFields *fields, const JsonbValue *key, const JsonbValue *value, Answer *answer)
{
	if (key_is(key, "questionId"))
	{
		if (value->type != jbvString || value->val.string.len == 0 || value->val.string.len > MT_ID_MAX)
			mt_fault(fields, "questionId", "must be a string of 1 to %d bytes", MT_ID_MAX);
		else
		{
			answer->question_id = value->val.string.val;
			answer->question_id_length = value->val.string.len;
		}
	}
	else if (key_is(key, "correct"))
	{
		if (value->type != jbvBool)
			mt_fault(fields, "correct", "must be true or false");
		else
		{
			answer->has_correct = true;
			answer->correct = value->val.boolean;
		}
	}
	else if (key_is(key, "points") && value->type != jbvNull)
	{
		static const char *const range = "must be a number between 0 and 1000000";

		if (value->type != jbvNumeric)
			mt_fault(fields, "points", "%s", range);
		else
		{
			Datum		points = NumericGetDatum(value->val.numeric);

			if (DatumGetBool(DirectFunctionCall2(numeric_lt, points, DirectFunctionCall1(int4_numeric, Int32GetDatum(0)))) ||
				DatumGetBool(DirectFunctionCall2(numeric_gt, points, DirectFunctionCall1(int4_numeric, Int32GetDatum(POINTS_MAX)))))
				mt_fault(fields, "points", "%s", range);
			answer->points = value->val.numeric;
		}
	}
}

/* Ends one answer: checks what is required and adds it up. */
static void
take_answer(MtFields *fields, const Answer *answer, SeenQuestions *seen, PointSum *all, PointSum *correct)
{
	if (answer->question_id == NULL)
		mt_fault(fields, "questionId", "is required");
	if (!answer->has_correct)
		mt_fault(fields, "correct", "is required");
	if (mt_faulty(fields->fault))
		return;
	if (!add_question(seen, answer->question_id, answer->question_id_length))
	{
		mt_fault(fields, "questionId", "is given twice");
		return;
	}
	add_points(all, answer->points);
	if (answer->correct)
		add_points(correct, answer->points);
}

/* Walks over the answers and adds them up; stops at the first fault. */
static void
add_up(JsonbContainer *answers, MtFields *fields, SeenQuestions *seen, PointSum *all, PointSum *correct)
{
	JsonbIterator *iterator = JsonbIteratorInit(answers);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	key = {0};
	Answer		answer = {0};
	int			depth = 0;

	while (!mt_faulty(fields->fault) && (token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				depth++;
				if (depth == 2 && token == WJB_BEGIN_ARRAY)
					mt_fault(fields, NULL, "must be an object");
				if (depth == 2)
					memset(&answer, 0, sizeof(answer));
				break;
			case WJB_END_OBJECT:
			case WJB_END_ARRAY:
				if (depth == 2)
				{
					take_answer(fields, &answer, seen, all, correct);
					fields->index++;
				}
				depth--;
				break;
			case WJB_ELEM:
				if (depth == 1)
					mt_fault(fields, NULL, "must be an object");
				break;
			case WJB_KEY:
				key = value;
				break;
			case WJB_VALUE:
				if (depth == 2)
					take_pair(fields, &key, &value, &answer);
				break;
			default:
				break;
		}
		if (depth > MT_JSON_DEPTH_MAX)
			mt_fault(fields, NULL, "must not be nested deeper than %d", MT_JSON_DEPTH_MAX);
	}
}

/*
 * Scores an array of answers. True, with score set, when there is something to score; false with or without a fault: without one there are no
 * questions, or none with points.
 */
bool
mt_score_answers(JsonbContainer *answers, MtFault *fault, Datum *score)
{
	MtFields	fields = {.name = "answers",.index = -1,.fault = fault};
	char		small_slots[SMALL_QUIZ_SLOTS * sizeof(((SeenQuestions *) NULL)->slots[0])];
	SeenQuestions seen;
	PointSum	all = {0};
	PointSum	correct = {0};
	uint32		count = JsonContainerSize(answers);
	uint32		slots = SMALL_QUIZ_SLOTS;

	if (!JsonContainerIsArray(answers) || JsonContainerIsScalar(answers))
		mt_fault(&fields, NULL, "must be an array");
	else if (count > ANSWERS_MAX)
		mt_fault(&fields, NULL, "must not have more than %d items", ANSWERS_MAX);
	if (mt_faulty(fault) || count == 0)
		return false;

	while (slots < count * 2)
		slots *= 2;
	seen.mask = slots - 1;
	if (slots == SMALL_QUIZ_SLOTS)
		seen.slots = memset(small_slots, 0, sizeof(small_slots));
	else
		seen.slots = palloc0(slots * sizeof(seen.slots[0]));

	fields.index = 0;
	add_up(answers, &fields, &seen, &all, &correct);
	if (mt_faulty(fault) || (all.whole == 0 && all.fractional == NULL))
		return false;

	if (all.fractional == NULL)
	{
		int64		scaled = (correct.whole * 2000000 + all.whole) / (all.whole * 2);

		*score = NumericGetDatum(int64_div_fast_to_numeric(scaled, 4));
	}
	else
	{
		Datum		hundredfold = DirectFunctionCall2(numeric_mul, sum_as_numeric(&correct), DirectFunctionCall1(int4_numeric, Int32GetDatum(100)));

		*score = DirectFunctionCall2(numeric_round, DirectFunctionCall2(numeric_div, hundredfold, sum_as_numeric(&all)), Int32GetDatum(4));
	}
	return true;
}

/*
 * mt_score_quiz(answers jsonb) -> numeric, NULL where there is nothing to score. ERROR 22023 naming the field.
 */
Datum
mt_score_quiz(PG_FUNCTION_ARGS)
{
	Jsonb	   *answers = PG_GETARG_JSONB_P(0);
	MtFault		fault = {0};
	Datum		score;

	if (mt_score_answers(&answers->root, &fault, &score))
		PG_RETURN_DATUM(score);
	if (mt_faulty(&fault))
		mt_raise_fault(&fault);
	PG_RETURN_NULL();
}
