<?php
// Prices orders and plans their ways for so many seconds. The same in five languages: see tests/bench/jit.py.
function discount(int $n): int { return $n < 2 ? $n : discount($n - 1) + discount($n - 2); }
function price(int $order): int { $sum = 0; for ($i = 0; $i < 3; $i++) $sum += discount(14 + $order % 3); return $sum; }
function distance(int $n): float { $sum = 0.0; for ($i = 1; $i < $n; $i++) $sum += fmod(sqrt($i), 7); return $sum; }
function route(int $order): float { $sum = 0.0; for ($i = 0; $i < 8; $i++) $sum += distance(600 + $order % 9); return $sum; }
function checkout(int $order): float { return price($order) + route($order); }
$end = microtime(true) + (float) $argv[1];
$total = 0.0;
for ($order = 0; microtime(true) < $end; $order++) $total += checkout($order);
echo $total, "\n";
