# An audit of an install script: what somebody who may create objects in the extension's schema, or in front of it, could slip in while a superuser
# runs the script or uses what it made. Used by test/tap/015_install_script.pl; knows nothing of a server.
#
#   my @findings = MindTickle::InstallScript::findings($text);     each "line N: what", in the order of the script
#
# Nothing may be adopted that could have been there before (OR REPLACE, IF NOT EXISTS), and in statements that run at once, which are all but the
# bodies of functions with a safe search_path, every relation, function, operator, type and collation must say its schema. That leaves out what takes
# an operator from the search_path without showing it: IN, BETWEEN, LIKE, NULLIF, CASE with a value, IS DISTINCT FROM, JOIN USING. A function in SQL or
# PL/pgSQL has SET search_path = pg_catalog, pg_temp, unless its body is a RETURN that is judged like a statement, and one that is SECURITY DEFINER a comment that says why.

package MindTickle::InstallScript;

use strict;
use warnings;

# Words that may stand before a parenthesis without being the name of a function.
my %before_parenthesis = map { $_ => 1 } qw(
  all and any array as by case check coalesce distinct else exists extract filter from generated greatest group having identity include key least
  not on operator or order over perform policy primary references returns row select set table then unique using values when where with within);

# Storage parameters: the = behind them is no operator.
my %storage_word = map { $_ => 1 } qw(autovacuum_enabled fillfactor security_invoker);

# Words of a table's definition that are no column.
my %table_word = map { $_ => 1 } qw(primary unique check foreign constraint exclude like);

# Words after which a relation's name comes.
my %before_relation = map { $_ => 1 } qw(from join into update only table view sequence references);

# Hidden operators, by the word that has them.
my %hidden = (
	in => 'IN takes its operator from the search_path',
	between => 'BETWEEN takes its operators from the search_path',
	like => 'LIKE takes its operator from the search_path',
	ilike => 'ILIKE takes its operator from the search_path',
	similar => 'SIMILAR takes its operator from the search_path',
	overlaps => 'OVERLAPS is no name that a schema can be given to',
	nullif => 'NULLIF takes its operator from the search_path',
	natural => 'NATURAL takes its operators from the search_path',
	cast => 'CAST is not looked into; say ::schema.type');

# The findings of a script.
sub findings
{
	my ($text) = @_;
	my @findings;

	$text =~ s/^\\echo[^\n]*$//m;
	foreach my $statement (_statements(_tokens($text, 1)))
	{
		push @findings, map { "line $_->[0]: $_->[1]" } sort { $a->[0] <=> $b->[0] } _judge($statement);
	}
	return @findings;
}

# The words of a text as [kind, text, line, comment before it]. Kinds: word (lower case), name (quoted), string, body (dollar-quoted), number, operator, mark.
sub _tokens
{
	my ($text, $line) = @_;
	my ($comment, @tokens) = ('');

	pos($text) = 0;
	while (pos($text) < length $text)
	{
		my ($kind, $value);
		if ($text =~ /\G(\s+)/gc) { $line += ($1 =~ tr/\n//); next; }
		if ($text =~ /\G(--[^\n]*|\/\*.*?\*\/)/gcs) { $comment .= $1; $line += ($1 =~ tr/\n//); next; }
		if ($text =~ /\G(\$(\w*)\$(.*?)\$\2\$)/gcs) { ($kind, $value) = ('body', $3); }
		elsif ($text =~ /\G((?:[eE](?='))?'(?:[^']|'')*')/gc) { ($kind, $value) = ('string', $1); }
		elsif ($text =~ /\G"((?:[^"]|"")*)"/gc) { ($kind, $value) = ('name', $1); }
		elsif ($text =~ /\G(\@extschema\@|[A-Za-z_][A-Za-z0-9_]*)/gc) { ($kind, $value) = ('word', lc $1); }
		elsif ($text =~ /\G(\d+(?:\.\d+)?)/gc) { ($kind, $value) = ('number', $1); }
		elsif ($text =~ /\G(::|:=|\.\.|[(),;.\[\]])/gc) { ($kind, $value) = ('mark', $1); }
		elsif ($text =~ /\G([-+*\/<>=~!@#%^&|`?]+)/gc) { ($kind, $value) = ('operator', $1); }
		else { die 'not understood in line ' . $line . ': ' . substr($text, pos($text), 40) . "\n"; }
		push @tokens, [ $kind, $value, $line, $comment ];
		$line += ($value =~ tr/\n//);
		$comment = '';
	}
	return @tokens;
}

# Statements, each an array of tokens.
sub _statements
{
	my @statements = ([]);
	foreach my $token (@_)
	{
		if ($token->[1] eq ';' && $token->[0] eq 'mark') { push @statements, []; }
		else { push @{ $statements[-1] }, $token; }
	}
	return grep { @$_ } @statements;
}

# The text of a token where it is a word or mark, so that a string is never taken for one.
sub _text
{
	my ($tokens, $i) = @_;
	return '' if $i < 0 || $i > $#$tokens;
	return $tokens->[$i][0] =~ /^(?:word|mark|operator)$/ ? $tokens->[$i][1] : $tokens->[$i][0] eq 'name' ? '"name"' : '';
}

# All words of a statement, for rules about its form.
sub _form
{
	my ($tokens) = @_;
	return join(' ', map { _text($tokens, $_) } 0 .. $#$tokens);
}

sub _judge
{
	my ($tokens) = @_;
	my $form = _form($tokens);
	my $line = $tokens->[0][2];
	my @findings;

	push @findings, [ $line, 'OR REPLACE' ] if $form =~ /^create or replace /;
	push @findings, [ $line, 'IF NOT EXISTS' ] if $form =~ /\bif not exists\b/ && $form !~ /^do /;
	push @findings, [ $line, 'SET for the script' ] if $form =~ /^(?:set|reset)\b/;
	if ($form =~ /^create (?:or replace )?(?:function|procedure) /)
	{
		push @findings, _judge_function($tokens, $form);
	}
	elsif ($form =~ /^do /)
	{
		my ($body) = grep { $_->[0] eq 'body' } @$tokens;
		push @findings, [ $line, 'a DO block in another language' ] if $form =~ / language (?!plpgsql)/;
		push @findings, _judge_block($body);
	}
	elsif ($form =~ /^(?:comment on|grant|revoke) /)
	{
		push @findings, _judge_objects($tokens, $form);
	}
	else
	{
		push @findings, _judge_definition($tokens) if $form =~ /^create (?:table|view|index|unique index|trigger|policy|sequence|type|domain|aggregate|operator|cast) /;
		push @findings, _judge_columns($tokens) if $form =~ /^create table /;
		push @findings, _judge_expressions($tokens, 0);
	}
	return @findings;
}

# A function: where it stands, its types, its search_path. The body counts only where the search_path does not protect it, which is a finding already.
sub _judge_function
{
	my ($tokens, $form) = @_;
	my $line = $tokens->[0][2];
	my ($language) = $form =~ / language (\w+)/;
	my @head = grep { $_->[0] ne 'body' } @$tokens;
	my @findings;

	$language //= 'none';
	push @findings, [ $line, 'a function without a schema' ] unless $form =~ /^create (?:or replace )?(?:function|procedure) \S+ \. /;
	push @findings, [ $line, "language $language" ] unless $language =~ /^(?:c|sql|plpgsql)$/;
	# A body that is no string is understood when the function is made, and judged below.
	push @findings, [ $line, 'no SET search_path = pg_catalog, pg_temp' ]
	  if $language ne 'c' && $form !~ / set search_path = pg_catalog , pg_temp(?: |$)/ && !($language eq 'sql' && $form =~ / return /);
	push @findings, [ $line, 'SECURITY DEFINER without a comment that says why' ]
	  if $form =~ / security definer/ && $tokens->[0][3] !~ /SECURITY DEFINER: \S/;

	my ($open) = grep { _text(\@head, $_) eq '(' } 0 .. $#head;
	push @findings, _judge_arguments(\@head, $open);
	foreach my $i (0 .. $#head)
	{
		next unless _text(\@head, $i) eq 'returns';
		my $type = $i + (_text(\@head, $i + 1) =~ /^(?:setof|table)$/ ? 2 : 1);
		push @findings, [ $head[$i][2], 'a result without the schema of its type' ] unless _text(\@head, $type + 1) eq '.' || _text(\@head, $type) eq '(' || _text(\@head, $type - 1) eq 'table';
	}
	push @findings, _judge_expressions([ @head[ $open .. $#head ] ], 1);
	return @findings;
}

# A list of arguments that begins at $open: each names the schema of its type.
sub _judge_arguments
{
	my ($tokens, $open) = @_;
	my ($depth, $qualified, $filled, @findings) = (0, 0, 0);

	foreach my $i ($open .. $#$tokens)
	{
		my $text = _text($tokens, $i);
		$depth++ if $text eq '(' || $text eq '[';
		$depth-- if $text eq ')' || $text eq ']';
		if ($depth == 0 || ($depth == 1 && $text eq ','))
		{
			push @findings, [ $tokens->[$i][2], 'an argument without the schema of its type' ] if $filled && !$qualified;
			($qualified, $filled) = (0, 0);
			last if $depth == 0;
		}
		elsif ($i > $open)
		{
			$filled = 1;
			$qualified = 1 if $text eq '.';
		}
	}
	return @findings;
}

# A DO block: PL/pgSQL whose statements run at once.
sub _judge_block
{
	my ($body) = @_;
	my @tokens = _tokens($body->[1], $body->[2]);
	my (@findings, $declaring);

	foreach my $i (0 .. $#tokens)
	{
		my $text = _text(\@tokens, $i);
		$declaring = 1 if $text eq 'declare';
		$declaring = 0 if $text eq 'begin';
		push @findings, [ $tokens[$i][2], 'a variable without the schema of its type' ]
		  if $declaring && ($text eq 'declare' || $text eq ';') && _text(\@tokens, $i + 1) ne 'begin' && _text(\@tokens, $i + 2) ne 'record' && _text(\@tokens, $i + 3) ne '.';
		# What is executed is looked at where it is written out.
		push @findings, map { _judge($_) } _statements(_tokens(_unquoted($tokens[$i][1]), $tokens[$i][2]))
		  if $tokens[$i][0] eq 'string' && $tokens[$i][1] =~ /^'(?:CREATE|ALTER|DROP|GRANT|REVOKE|INSERT|UPDATE|DELETE|SELECT)\b/;
	}
	return (@findings, _judge_expressions(\@tokens, 1));
}

# The content of a string literal, with the placeholders of format() as qualified names.
sub _unquoted
{
	my ($literal) = @_;
	$literal =~ s/^'|'$//g;
	$literal =~ s/''/'/g;
	$literal =~ s/%[sI]/mindtickle.x/g;
	return $literal;
}

# COMMENT, GRANT and REVOKE: the objects, and the types of functions' arguments.
sub _judge_objects
{
	my ($tokens, $form) = @_;
	my @findings;

	return () if $form =~ / on schema / || $form =~ / on all (?:functions|tables|sequences) in schema /;
	my ($at) = grep { _text($tokens, $_) eq 'on' } 0 .. $#$tokens;
	my $is_policy = $form =~ /^comment on (?:policy|trigger|constraint) /;
	return () unless defined $at;
	my $wanted = 1;
	my $i = $at + 1;
	$i++ while _text($tokens, $i) =~ /^(?:table|view|sequence|function|procedure|column|type|index|policy|trigger|constraint)$/;
	for (; $i <= $#$tokens; $i++)
	{
		my $text = _text($tokens, $i);
		last if $text =~ /^(?:is|to|from)$/;
		if ($text eq '(')
		{
			push @findings, _judge_arguments($tokens, $i) if $form =~ / on function /;
			my $depth = 0;
			for (; $i <= $#$tokens; $i++)
			{
				$depth += _text($tokens, $i) eq '(' ? 1 : _text($tokens, $i) eq ')' ? -1 : 0;
				last if $depth == 0;
			}
			next;
		}
		if ($text eq ',' || ($is_policy && $text eq 'on')) { $wanted = 1; next; }
		push @findings, [ $tokens->[$i][2], "\"$tokens->[$i][1]\" without its schema" ] if $wanted && !$is_policy && _text($tokens, $i + 1) ne '.';
		$wanted = 0;
	}
	return @findings;
}

# CREATE of something that has a schema, or that stands on a relation which has one.
sub _judge_definition
{
	my ($tokens) = @_;
	my $form = _form($tokens);
	my @findings;

	push @findings, [ $tokens->[0][2], 'an object without its schema' ]
	  if $form =~ /^create (?:table|view|sequence|type|domain|aggregate|operator) (?:if not exists )?\S+ (?!\.)/;
	push @findings, [ $tokens->[0][2], 'a relation without its schema' ]
	  if $form =~ /^create (?:unique )?(?:index|trigger|policy) / && $form !~ / on \S+ \. /;
	push @findings, [ $tokens->[0][2], 'a function without its schema' ] if $form =~ / execute (?:function|procedure) \S+ (?!\.)/;
	push @findings, [ $tokens->[0][2], 'a view without security_invoker' ] if $form =~ /^create view / && $form !~ / with \( security_invoker = true/;
	return @findings;
}

# The columns of a table: each names the schema of its type.
sub _judge_columns
{
	my ($tokens) = @_;
	my ($depth, @findings) = (0);

	foreach my $i (0 .. $#$tokens)
	{
		my $text = _text($tokens, $i);
		$depth++ if $text eq '(';
		$depth-- if $text eq ')';
		next unless $depth == 1 && ($text eq '(' || $text eq ',');
		last if _text($tokens, $i - 1) eq 'with';
		next if $table_word{ _text($tokens, $i + 1) };
		push @findings, [ $tokens->[ $i + 1 ][2], "column \"$tokens->[$i + 1][1]\" without the schema of its type" ] if _text($tokens, $i + 3) ne '.';
	}
	return @findings;
}

# Whatever is evaluated: operators, functions, casts, collations, relations. $loose: the tokens are not those of a plain statement, so FOR .. IN may come.
sub _judge_expressions
{
	my ($tokens, $loose) = @_;
	my %known = map { _text($tokens, $_) => 1 } grep { _text($tokens, $_ + 1) eq 'as' && _text($tokens, $_ + 2) =~ /^(?:\(|materialized)$/ } 0 .. $#$tokens;
	my @findings;

	foreach my $i (0 .. $#$tokens)
	{
		my ($kind, undef, $line) = @{ $tokens->[$i] };
		my ($before, $text, $after) = map { _text($tokens, $_) } $i - 1, $i, $i + 1;

		push @findings, [ $line, "operator $text without its schema" ] if $kind eq 'operator' && !_operator_is_placed($tokens, $i);
		push @findings, [ $line, 'a cast to a type without its schema' ] if $text eq '::' && _text($tokens, $i + 2) ne '.';
		push @findings, [ $line, 'a collation without its schema' ] if $text eq 'collate' && _text($tokens, $i + 2) ne '.';
		next unless $kind eq 'word' || $kind eq 'name';
		push @findings, [ $line, $hidden{$text} ] if $hidden{$text} && $before ne '.' && !($text eq 'in' && $loose && _text($tokens, $i - 2) eq 'for') && !($text eq 'like' && $before eq '(');
		# Without a left side it is a table's clause.
		push @findings, [ $line, 'LIKE of a table without its schema' ] if $text eq 'like' && $before eq '(' && _text($tokens, $i + 2) ne '.';
		push @findings, [ $line, 'CASE with a value takes its operator from the search_path' ] if $text eq 'case' && $after ne 'when';
		push @findings, [ $line, 'IS DISTINCT FROM takes its operator from the search_path' ] if $text eq 'distinct' && $after eq 'from' && $before =~ /^(?:is|not)$/;
		push @findings, [ $line, 'JOIN USING takes its operators from the search_path' ] if $text eq 'using' && $after eq '(' && _joins($tokens, $i);
		push @findings, [ $line, "function $text without its schema" ] if $after eq '(' && $before ne '.' && $before !~ /^(?:as|\)|type)$/ && !$before_parenthesis{$text};
		push @findings, [ $line, "relation \"$tokens->[$i + 1][1]\" without its schema" ]
		  if $before_relation{$text} && $before !~ /^(?:distinct|for|do|alter|after|before|or|of|old|new)$/ && !_in_extract($tokens, $i) && _names_relation($tokens, $i + 1, \%known);
	}
	return @findings;
}

# An operator with its schema, or a sign that is none: an assignment, an option, the star of a list.
sub _operator_is_placed
{
	my ($tokens, $i) = @_;
	my ($before, $text, $after) = map { _text($tokens, $_) } $i - 1, $i, $i + 1;

	return 1 if $before eq '.' && _text($tokens, $i - 2) =~ /^(?:pg_catalog|mindtickle|\@extschema\@)$/ && _text($tokens, $i - 4) eq 'operator';
	return 1 if $text eq '=' && ($storage_word{$before} || _text($tokens, $i - 2) eq 'set');
	return 1 if $text eq '=' && $before =~ /^(?:errcode|detail|hint|message)$/ && _text($tokens, $i - 2) =~ /^(?:using|,)$/;
	return 1 if $text eq '*' && ($before =~ /^(?:\(|select|\.|,)$/);
	return 1 if $text eq '-' && $before =~ /^(?:\(|,|then|else|default|)$/ && $tokens->[ $i + 1 ][0] eq 'number';
	return 0;
}

# True when this USING belongs to a JOIN, not to a policy, an index or EXECUTE.
sub _joins
{
	my ($tokens, $i) = @_;
	for (my $j = $i - 1; $j >= 0; $j--)
	{
		my $text = _text($tokens, $j);
		return 1 if $text eq 'join';
		return 0 if $text =~ /^(?:policy|index|execute|raise|on|;|select|where)$/;
	}
	return 0;
}

# True inside of EXTRACT(field FROM ...).
sub _in_extract
{
	my ($tokens, $i) = @_;
	return _text($tokens, $i) eq 'from' && _text($tokens, $i - 2) eq '(' && _text($tokens, $i - 3) eq 'extract';
}

# True when the name at $i is a relation's without schema: not a subquery, a function, or a WITH query.
sub _names_relation
{
	my ($tokens, $i, $known) = @_;
	my $text = _text($tokens, $i);

	return 0 if $text =~ /^(?:|\(|lateral|only|row|rows|values|select)$/ || $known->{$text};
	return _text($tokens, $i + 1) ne '.';
}

1;
