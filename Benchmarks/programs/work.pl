# Regular expressions, hashes, strings, sorting.
use strict;
use warnings;

my ($state, %count, @lines) = (1);
for my $i (1 .. 120000) {
    $state = ($state * 1103515245 + 12345) & 0x7fffffff;
    push @lines, sprintf("%s=%d;%x", chr(97 + ($state >> 20) % 26) x 3, $state >> 8, $i);
}
for my $line (@lines) {
    my ($name, $number, $digit, $place) = $line =~ /^(\w+)=(\d*?(\d)\3\d*);([0-9a-f]+)$/ or next;
    $count{$name} .= $number;
    (my $copy = $line) =~ s/(\d)(\d)/$2$1/g;
    $count{substr $copy, -2} .= $digit if $place ne "ff";
}
print map { "$_ " . length($count{$_}) . "\n" } sort keys %count;
print join(",", (sort { reverse($a) cmp reverse($b) } @lines)[0 .. 9]), "\n";
