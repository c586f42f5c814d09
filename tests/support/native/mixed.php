<?php
// Calls itself, sorts with a callback and writes JSON for four seconds.
function fib(int $n): int { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); }
$sum = 0;
for ($began = microtime(true); microtime(true) - $began < 4;) {
    $sum += fib(18);
    $items = range(0, 2000);
    usort($items, fn($one, $other) => $other <=> $one);
    $sum += strlen(json_encode($items));
}
echo $sum, "\n";
