#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Grows, empties and grows again hashes and strings of many sizes; prints digests only.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);

sub evidence {
	my ($name) = @_;
	open my $in, '<', '/proc/self/maps' or die "maps: $!";
	open my $out, '>', "evidence.$name" or die "evidence: $!";
	print {$out} <$in>;
	close $out or die "evidence: $!";
}

my $state = 12345;

# The same numbers everywhere: nothing here may depend on rand or on the order of a hash.
sub next_number {
	$state = ($state * 1103515245 + 12345) & 0x7fffffff;
	return $state >> 8;
}

my %count;
$count{ 'key' . next_number() % 200000 } .= chr(97 + $_ % 26) for 1 .. 400000;
my $digest = Digest::MD5->new;
$digest->add("$_=$count{$_};") for sort keys %count;
print 'hash: ', scalar(keys %count), ' ', $digest->hexdigest, "\n";

my @dead = grep { next_number() % 3 } sort keys %count;
delete @count{@dead};
$count{ "new$_" } = [ map { { n => $_ } } 1 .. next_number() % 8 ] for 1 .. 50000;
my $refs = grep { ref } values %count;
print 'after deletion: ', scalar(keys %count), " of which $refs nested\n";

my $text = join ' ', map { sprintf 'w%x-%d', next_number(), $_ } 1 .. 150000;
my %seen;
$seen{ length $1 }++ while $text =~ /\b(w[0-9a-f]+)-(?=\d*7\b)/g;
(my $turned = $text) =~ s/(w)([0-9a-f]+)-(\d+)/$3 . reverse($2) . uc($1)/ge;
my @seen = map { "$_:$seen{$_}" } sort { $a <=> $b } keys %seen;
print 'text: ', md5_hex($turned), " @seen\n";

my @sorted = sort { length($a) <=> length($b) or $a cmp $b } split /\s+/, $turned;
print 'sorted: ', md5_hex(join "\n", @sorted), "\n";

my $long = '';
$long .= 'x' x (next_number() % 5000) for 1 .. 4000;
print 'long: ', length $long, "\n";
evidence('perl');
