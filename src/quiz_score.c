/*
 * quiz_score.c
 *		Scores quiz answers: 100 x points of correct answers / points of all, rounded half away from zero to 4 places.
 *
 * Called by mt_score_quiz, and by quiz_result.c for the figure that is kept beside a given score. Walks over the entries of the stored jsonb as
 * utils/jsonb.h lays them out, which takes a third of the iterator's time, and copies nothing; whole points, which is nearly all there are,
 * are added as integers.
 */
#include "quiz_score.h"

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define ANSWERS_MAX			10000
#define POINTS_MAX			1000000
/* A score has 4 places, so 100 % are a million units. */
#define SCORE_SCALE			4
#define SCORE_UNITS			1000000
/* Levels above what an answer holds: the array and the answer. */
#define ANSWER_DEPTH		2
/* Slots on the stack for the ids seen; a quiz of up to half as many questions needs no other memory. */
#define SMALL_QUIZ_SLOTS	64

/* Points so far, split so that numeric arithmetic is needed only for fractions. */
typedef struct PointSum
{
	int64		whole;
	Numeric		fractional;		/* NULL: none */
} PointSum;

/* Question ids seen, in a table of open addressing. */
typedef struct SeenQuestion
{
	const char *id;
	int			length;
} SeenQuestion;

typedef struct SeenQuestions
{
	uint32		mask;
	SeenQuestion *slots;
} SeenQuestions;

/* Where a key of an answer stands among its entries; -1: not there. */
typedef struct AnswerKeys
{
	int			question_id;
	int			correct;
	int			points;
} AnswerKeys;

PG_FUNCTION_INFO_V1(mt_score_quiz);

/* Ids are short as a rule, and then a word is hashed instead of a string, which saves a fifth of the whole. */
static uint32
hash_id(const char *id, int length)
{
	uint64		word = 0;

	if (length > (int) sizeof(word))
		return hash_bytes((const unsigned char *) id, length);
	memcpy(&word, id, length);
	return murmurhash32((uint32) word ^ murmurhash32((uint32) (word >> 32)));
}

/* Adds an id; false when it was there. */
static bool
add_question(SeenQuestions *seen, const char *id, int length)
{
	uint32		slot = hash_id(id, length) & seen->mask;

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

/* Moves over one entry; returns where its data begin. */
static uint32
next_entry(JEntry entry, uint32 *offset)
{
	uint32		start = *offset;

	JBE_ADVANCE_OFFSET(*offset, entry);
	return start;
}

/* Finds the keys of an answer, and leaves offset at the data of its first value. */
static AnswerKeys
find_keys(const JsonbContainer *answer, const char *data, uint32 *offset)
{
	AnswerKeys	keys = {-1, -1, -1};
	int			count = JsonContainerSize(answer);

	for (int i = 0; i < count; i++)
	{
		uint32		start = next_entry(answer->children[i], offset);
		const char *key = data + start;

		switch (*offset - start)
		{
			case 6:
				if (memcmp(key, "points", 6) == 0)
					keys.points = i;
				break;
			case 7:
				if (memcmp(key, "correct", 7) == 0)
					keys.correct = i;
				break;
			case 10:
				if (memcmp(key, "questionId", 10) == 0)
					keys.question_id = i;
				break;
		}
	}
	return keys;
}

/* Checks the points of an answer, a number. */
static Numeric
read_points(MtFields *fields, JEntry entry, const char *data)
{
	Datum		points = PointerGetDatum(data);

	if (!JBE_ISNUMERIC(entry) ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, points, DirectFunctionCall1(int4_numeric, Int32GetDatum(0)))) < 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, points, DirectFunctionCall1(int4_numeric, Int32GetDatum(POINTS_MAX)))) > 0)
	{
		mt_fault(fields, "points", "must be a number between 0 and %d", POINTS_MAX);
		return NULL;
	}
	return DatumGetNumeric(points);
}

/* Takes one answer: checks it and adds it up. */
static void
take_answer(MtFields *fields, JsonbContainer *answer, SeenQuestions *seen, PointSum *all, PointSum *correct)
{
	int			count = JsonContainerSize(answer);
	const char *data = (const char *) &answer->children[count * 2];
	uint32		offset = 0;
	AnswerKeys	keys = find_keys(answer, data, &offset);
	bool		is_correct = false;
	Numeric		points = NULL;

	if (keys.question_id < 0)
		mt_fault(fields, "questionId", "is required");
	if (keys.correct < 0)
		mt_fault(fields, "correct", "is required");

	for (int i = 0; i < count; i++)
	{
		JEntry		entry = answer->children[count + i];
		uint32		start = next_entry(entry, &offset);

		if (i == keys.question_id)
		{
			if (!JBE_ISSTRING(entry) || offset == start || offset - start > MT_ID_MAX)
				mt_fault(fields, "questionId", "must be a string of 1 to %d bytes", MT_ID_MAX);
			else if (!add_question(seen, data + start, (int) (offset - start)))
				mt_fault(fields, "questionId", "is given twice");
		}
		else if (i == keys.correct)
		{
			if (!JBE_ISBOOL(entry))
				mt_fault(fields, "correct", "must be true or false");
			is_correct = JBE_ISBOOL_TRUE(entry);
		}
		else if (i == keys.points && !JBE_ISNULL(entry))
			points = read_points(fields, entry, data + INTALIGN(start));
		else if (JBE_ISCONTAINER(entry))
			(void) mt_json_too_deep(fields, (JsonbContainer *) (data + INTALIGN(start)), ANSWER_DEPTH);
	}
	if (mt_faulty(fields->fault))
		return;
	add_points(all, points);
	if (is_correct)
		add_points(correct, points);
}

/* Walks over the answers and adds them up; stops at the first fault. */
static void
add_up(JsonbContainer *answers, MtFields *fields, SeenQuestions *seen, PointSum *all, PointSum *correct)
{
	int			count = JsonContainerSize(answers);
	char	   *data = (char *) &answers->children[count];
	uint32		offset = 0;

	for (int i = 0; i < count && !mt_faulty(fields->fault); i++)
	{
		JEntry		entry = answers->children[i];
		uint32		start = next_entry(entry, &offset);
		JsonbContainer *answer = (JsonbContainer *) (data + INTALIGN(start));

		fields->index = i;
		if (!JBE_ISCONTAINER(entry) || !JsonContainerIsObject(answer))
			mt_fault(fields, NULL, "must be an object");
		else
			take_answer(fields, answer, seen, all, correct);
	}
}

/*
 * 100 x part / whole, rounded half away from zero to 4 places; false where the whole is zero. The quotient is taken once, of numbers that are
 * exact, and truncated: (2 x 10^6 x part + whole) / (2 x whole) is the rounded one.
 */
static bool
share_of_points(const PointSum *part, const PointSum *whole, Datum *share)
{
	Datum		twice_whole;
	Datum		scaled;

	if (whole->fractional == NULL)
	{
		if (whole->whole == 0)
			return false;
		*share = NumericGetDatum(int64_div_fast_to_numeric((part->whole * 2 * SCORE_UNITS + whole->whole) / (whole->whole * 2), SCORE_SCALE));
		return true;
	}
	twice_whole = DirectFunctionCall2(numeric_mul, sum_as_numeric(whole), DirectFunctionCall1(int4_numeric, Int32GetDatum(2)));
	if (DatumGetBool(DirectFunctionCall2(numeric_eq, twice_whole, DirectFunctionCall1(int4_numeric, Int32GetDatum(0)))))
		return false;
	scaled = DirectFunctionCall2(numeric_mul, sum_as_numeric(part), DirectFunctionCall1(int4_numeric, Int32GetDatum(2 * SCORE_UNITS)));
	scaled = DirectFunctionCall2(numeric_div_trunc, DirectFunctionCall2(numeric_add, scaled, sum_as_numeric(whole)), twice_whole);
	*share = NumericGetDatum(int64_div_fast_to_numeric(DatumGetInt64(DirectFunctionCall1(numeric_int8, scaled)), SCORE_SCALE));
	return true;
}

/*
 * Scores an array of answers. True, with score set, when there is something to score; false with or without a fault: without one there are no
 * questions, or none with points.
 */
bool
mt_score_answers(JsonbContainer *answers, MtFault *fault, Datum *score)
{
	MtFields	fields = {.name = "answers",.index = -1,.fault = fault};
	SeenQuestion small_slots[SMALL_QUIZ_SLOTS];
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
		seen.slots = palloc0(slots * sizeof(SeenQuestion));

	add_up(answers, &fields, &seen, &all, &correct);
	return !mt_faulty(fault) && share_of_points(&correct, &all, score);
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
