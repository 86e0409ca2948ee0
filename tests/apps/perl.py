"""perl: hashes, sorting, regular expressions, string building and forked children."""

from harness import compare

SCRIPT = r"""
use strict; use warnings; use Digest::SHA qw(sha256_hex);
my %h;
for my $i (1 .. 200_000) { $h{"key $i"} = { n => $i, list => [1 .. $i % 13], text => "x" x ($i % 200) }; }
delete $h{"key $_"} for grep { $_ % 3 == 0 } 1 .. 200_000;
my $all = join "\n", map { "$_ $h{$_}{n} $h{$_}{text} @{$h{$_}{list}}" } sort keys %h;
print length($all), " ", sha256_hex($all), "\n";
my %count; $count{lc $1}++ while $all =~ /\b([a-z]+\s\d)/g;
print join(",", map { "$_=$count{$_}" } sort keys %count), "\n";
(my $changed = $all) =~ s/(\d+)/$1 * 2/ge;
print sha256_hex($changed), "\n";
for my $child (1 .. 8) {
    my $pid = open(my $out, "-|") // die;
    if (!$pid) { print sha256_hex(join ",", map { $_ * $child } 1 .. 50_000), "\n"; exit 0; }
    print "child $child: ", <$out>; close $out;
}
"""


def work(session):
    return session.run("/usr/bin/perl", session.write("script.pl", SCRIPT))


compare(work)
