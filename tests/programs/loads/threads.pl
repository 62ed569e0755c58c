#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# An interpreter thread starts as a copy of the whole interpreter and frees it when it ends, on
# another thread than the one that allocated much of it.
use strict;
use warnings;
use threads;
use threads::shared;
use Digest::MD5 qw(md5_hex);

my %data = map { ("k$_" => 'v' x ($_ % 60)) } 1 .. 5000;
my %results : shared;

sub work {
	my ($n) = @_;
	$data{"k$_"} .= $n for 1 .. 5000;
	my %more = map { ("m$_" => $data{"k$_"} x $n) } 1 .. 5000;
	my $digest = md5_hex(join ',', map { "$_=$more{$_}" } sort keys %more);
	lock %results;
	$results{$n} = $digest;
	return $digest;
}

for my $round (1 .. 4) {
	my @threads = map { threads->create(\&work, $_) } 1 .. 4;
	my @joined = map { $_->join } @threads;
	print "round $round: @joined\n";
}
print "shared $_: $results{$_}\n" for sort keys %results;
print 'mine: ', md5_hex(join ',', map { "$_=$data{$_}" } sort keys %data), "\n";

open my $in, '<', '/proc/self/maps' or die "maps: $!";
open my $out, '>', 'evidence.perl' or die "evidence: $!";
print {$out} <$in>;
close $out or die "evidence: $!";
