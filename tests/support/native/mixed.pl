# Builds strings and matches regular expressions.
my (%texts, $digits);
for my $each (1 .. 3_000_000) {
    my $text = \$texts{$each % 5000};
    $$text = length($$text // "") > 500 ? "" : ($$text // "") . "x$each";
    $digits += () = "abc$each" =~ /\d/g;
}
print "$digits\n";
