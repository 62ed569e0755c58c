#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Prints a stream for git fast-import: 400 commits on main, a topic branch, merges, tags; always the
# same.
use strict;
use warnings;

my $COMMITS = 400;
my $state = 4711;
my %files;
my $mark = 0;

sub next_number {
	my ($below) = @_;
	$state = ($state * 1103515245 + 12345) & 0x7fffffff;
	return ($state >> 8) % $below;
}

sub data {
	my ($text) = @_;
	return 'data ' . length($text) . "\n$text\n";
}

sub change_some_files {
	my ($branch, $n) = @_;
	# Each branch has files of its own, so that no merge has a conflict.
	my $dir = $branch eq 'main' ? 'dir' . next_number(5) : $branch;
	my $out = '';
	for (1 .. 1 + next_number(4)) {
		my $name = "$dir/file" . next_number(8);
		my $length = 40 + next_number(200);
		my $lines = $files{$name} //= [ map { "line $_ of $name" } 1 .. $length ];
		my $at = next_number(scalar @$lines);
		my @new = map { "changed by $n: " . next_number(1 << 20) } 0 .. next_number(6);
		splice @$lines, $at, next_number(3), @new;
		$out .= "M 100644 inline $name\n" . data(join('', map { "$_\n" } @$lines));
	}
	return $out;
}

sub commit {
	my ($branch, $n, @parents) = @_;
	my $date = 1600000000 + $n * 3600;
	$mark++;
	print "commit refs/heads/$branch\nmark :$mark\n";
	print "committer A U Thor <author\@example.org> $date +0000\n";
	print data("change $n\n\n" . 'why ' x next_number(30) . "\n");
	print 'from :', shift @parents, "\n" if @parents;
	print "merge :$_\n" for @parents;
	print change_some_files($branch, $n), "\n";
	return $mark;
}

my ($main, $topic);
for my $n (1 .. $COMMITS) {
	if (defined $topic && $n % 25 == 0 && $n < $COMMITS - 40) {
		$main = commit('main', $n, $main, $topic);
		undef $topic;
	} elsif ($n > 20 && $n % 5 == 0) {
		$topic = commit('topic', $n, $topic // $main);
	} else {
		$main = commit('main', $n, defined $main ? $main : ());
	}
	next if $n % 100;
	my $date = 1600000000 + $n * 3600;
	print "tag v$n\nfrom :$main\ntagger A U Thor <author\@example.org> $date +0000\n";
	print data("version $n\n");
}
print "done\n";
