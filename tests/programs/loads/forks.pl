#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A parent and its children share pages until one of them writes: each must see only its own writes,
# through two generations, while all allocate.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);

my $CHILDREN = 4;

sub evidence {
	my ($name) = @_;
	open my $in, '<', '/proc/self/maps' or die "maps: $!";
	open my $out, '>', "evidence.$name" or die "evidence: $!";
	print {$out} <$in>;
	close $out or die "evidence: $!";
}

sub state_of {
	my ($data) = @_;
	return md5_hex(join ',', map { "$_=$data->{$_}" } sort keys %$data);
}

# In place and with growth, so that old pages are written and new ones taken.
sub change {
	my ($data, $by) = @_;
	for my $key (sort keys %$data) {
		substr($data->{$key}, 0, 1) = chr(65 + $by);
		$data->{$key} .= $by x (length($key) * 3) if $key =~ /[$by]/;
	}
	delete $data->{$_} for grep { /^k\d*${by}$/ } keys %$data;
	$data->{"child$by-$_"} = 'c' x $_ for 1 .. 300;
}

sub spawn {
	my ($work) = @_;
	pipe my $read, my $write or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	return ($pid, $read) if $pid;
	close $read;
	print {$write} $work->();
	close $write or die "write: $!";
	exit 0;
}

sub collect {
	my ($pid, $read) = @_;
	local $/;
	my $said = <$read>;
	waitpid $pid, 0;
	return $said . ($? ? " status $?" : '');
}

my %data = map { ("k$_" => 'v' x ($_ % 90)) } 1 .. 8000;
my $before = state_of(\%data);
my @children = map {
	my $by = $_;
	[ spawn(sub {
		change(\%data, $by);
		evidence("child$by");
		my $mine = state_of(\%data);
		my $grandchild = collect(spawn(sub { change(\%data, $by + 4); state_of(\%data) }));
		return "$mine $grandchild " . ($mine eq state_of(\%data) ? 'kept' : 'LOST');
	}) ];
} 1 .. $CHILDREN;

# The parent allocates, writes and frees in the same pages meanwhile.
my %own = map { ("p$_" => 'o' x ($_ % 200)) } 1 .. 10000;
print 'parent: ', state_of(\%own), "\n";
%own = ();
print "child $_: ", collect(@{ $children[ $_ - 1 ] }), "\n" for 1 .. $CHILDREN;
print 'parent after all: ', ($before eq state_of(\%data) ? 'unchanged' : 'CHANGED'), "\n";

# Many short ones.
my $sum = 0;
for my $n (1 .. 150) {
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		my @some = map { 'y' x $_ } 1 .. $n;
		exit(@some % 200);
	}
	waitpid $pid, 0;
	$sum += $? >> 8;
}
print "statuses of the short ones: $sum\n";
evidence('parent');
