<?php
// A function of the interpreter calls back: usort() compares by a function of ours.
function inmost(int $one, int $other): int
{
    for ($sum = $each = 0; $each < 2000; $each++) {
        $sum += $each;
    }
    return $one <=> $other;
}

function compare(int $one, int $other): int
{
    return inmost($one, $other);
}

function sort_by_callback(): void
{
    $numbers = range(20, 1);
    usort($numbers, 'compare');
}

for ($began = microtime(true); microtime(true) - $began < 3;) {
    sort_by_callback();
}
