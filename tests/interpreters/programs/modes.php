<?php
// Programs for every PHP from 7.4 on: modes.php MODE SECONDS [PHP OPTION…]. In php-fpm, MODE+SECONDS is the query.
// Each burns CPU in functions that say what they are.

namespace App;

[$mode, $seconds] = isset($argv[2]) ? array_slice($argv, 1) : explode('+', $_SERVER['QUERY_STRING']);
define('App\SECONDS', (float)$seconds);

function spin(float $until_s): int
{
    $number = 0;
    while (microtime(true) < $until_s) {
        for ($round = 0; $round < 1000; $round++) {
            $number += $round & 3;
        }
    }
    return $number;
}

function in_the_child(): void
{
    spin(microtime(true) + SECONDS);
}

function at_once(): void
{
    spin(microtime(true) + SECONDS);
}

function cpu_s(): float
{
    $used = getrusage();
    return $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']
        + ($used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']) / 1e6;
}

/** Burns on three lines in turn, in between of calls on others; the CPU time that each took, by line. */
function on_lines(): array
{
    $slots = array_fill(0, 256, 1);
    $spent_s = [0.0, 0.0, 0.0];
    $first = __LINE__ + 6;
    $number = 0;
    mt_srand(20);
    while (array_sum($spent_s) < SECONDS) {
        $rounds = mt_rand(20000, 200000);
        $marks = [cpu_s()];
        for ($round = 0; $round < $rounds; $round++) { $number += $round * 3; $number &= 0xffff; }
        $marks[] = cpu_s();
        for ($round = 0; $round < $rounds; $round += 2) { $slots[$round & 255] = $slots[$number & 255] ^ $round; $number++; }
        $marks[] = cpu_s();
        for ($round = 0; $round < $rounds; $round += 4) { $number = $round & 1 ? $number ^ 1 : $number ^ 2; }
        $marks[] = cpu_s();
        foreach ($spent_s as $at => $_) {
            $spent_s[$at] += $marks[$at + 1] - $marks[$at];
        }
    }
    return array_combine([$first, $first + 2, $first + 4], $spent_s);
}

class Maker
{
    private array $kept = [];

    /** Makes closures, of which each burns for a moment; the last few of them stay. */
    public function new_closures(float $until_s): void
    {
        for ($made = 0; microtime(true) < $until_s; $made++) {
            $new = function (int $rounds) use ($made): int {
                for ($number = $made, $round = 0; $round < $rounds; $round++) {
                    $number += $round & 3;
                }
                return $number;
            };
            $new(20000);
            $this->kept[$made % 50] = $new;
        }
    }
}

switch ($mode) {
    case 'exact':
        spin(microtime(true) + 3 * SECONDS);  // so that a recorder knows this process
        require __DIR__ . '/php/calls.php';
        break;
    case 'lines':
        echo json_encode(['cpu_s' => on_lines()]), "\n";
        break;
    case 'closures':
        (new Maker())->new_closures(microtime(true) + SECONDS);
        break;
    case 'fork':
        spin(microtime(true) + 0.5);
        for ($child = 0; $child < 2; $child++) {
            if (pcntl_fork() === 0) {
                in_the_child();
                exit(0);
            }
        }
        while (pcntl_wait($status) > 0);
        break;
    case 'short':
        $command = [...array_slice($argv, 3), __FILE__, 'once', (string)(SECONDS / 20)];
        for ($child = 0; $child < 20; $child++) {
            proc_close(proc_open($command, [], $pipes));
        }
        break;
    case 'once':
        at_once();
        break;
}
