#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Prints redis commands, in the protocol's own form, that fill every type in its small and large
# encoding.
use strict;
use warnings;

my $state = 99;

sub next_number {
	my ($below) = @_;
	$state = ($state * 1103515245 + 12345) & 0x7fffffff;
	return ($state >> 8) % $below;
}

sub command {
	print '*', scalar(@_), "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @_;
}

for my $n (1 .. 40000) {
	my $k = next_number(500);
	command('set', "s$n", 'x' x next_number($n % 100 == 0 ? 20000 : 200));
	command('append', "s" . (1 + next_number($n)), 'y' x next_number(50));
	command('rpush', "list$k", ("e$n") x (1 + next_number(5)));
	command('lpop', 'list' . next_number(500)) if $n % 3 == 0;
	command('hset', "hash$k", "f" . next_number(300), "v$n");
	command('hdel', "hash$k", "f" . next_number(300));
	command('sadd', "set$k", next_number(1000), "m" . next_number(100));
	command('zadd', "zset$k", next_number(10000), "z" . next_number(400));
	command('xadd', 'stream' . ($k % 20), "$n-1", 'field', "v$n", 'w', 'w' x next_number(60));
	command('setbit', "bits" . ($k % 9), next_number(100000), 1);
	command('pfadd', 'hll' . ($k % 5), "p$n");
	command('del', 's' . (1 + next_number($n))) if $n % 4 == 0;
}
