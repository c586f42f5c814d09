<?php
// Three methods that share this process's CPU time 60/30/10, called DEPTH frames deep: a loop, a closure that an
// internal function calls, and an internal function; below a closure and a recursion. The arguments and the
// handshake are those of split.py and handshake.py; a unit is 1000 rounds.

class Splitter
{
    const SHARES = ['heavy_share' => 0.6, 'medium_share' => 0.3, 'light_share' => 0.1];

    public static function cpu_s(): float
    {
        $used = getrusage();
        return $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']
            + ($used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']) / 1e6;
    }

    public function heavy_share(int $rounds): int
    {
        $total = 0;
        for ($left = $rounds; $left > 0; $left--) {
            $total += $left & 7;
        }
        return $total;
    }

    public function medium_share(int $rounds): int
    {
        $total = 0;
        array_map(
            function ($number) use (&$total) {
                $total += $number & 7;
            },
            range(1, 500 + intdiv($rounds, 10))
        );
        return $total;
    }

    public static function light_share(int $rounds): int
    {
        $letters = str_repeat('the quick brown fox ', 400);
        for ($left = intdiv($rounds, 2000); $left > 0; $left--) {
            similar_text(substr($letters, 0, 200), 'jumps over the lazy dog');
        }
        return $left;
    }

    public function descend(int $depth, callable $burner)
    {
        if ($depth <= 1) {
            return $burner();
        }
        return $this->descend($depth - 1, $burner);
    }

    // Burns `goal` (CPU seconds, or units). Returns the seconds that each method really took. The one furthest
    // behind goes next; turns are of random length, so that no sampling rate can keep step with them.
    public function split(float $goal, bool $by_clock, int $depth): array
    {
        mt_srand(20);
        $spent_s = array_fill_keys(array_keys(self::SHARES), 0.0);
        $done = $spent_s;
        $progress = $spent_s;
        while (array_sum($progress) < $goal) {
            $name = 'heavy_share';
            foreach (self::SHARES as $each => $share) {
                if ($progress[$each] / $share < $progress[$name] / self::SHARES[$name]) {
                    $name = $each;
                }
            }
            $units = mt_rand(100, 2000);
            $began_s = self::cpu_s();
            $this->descend($depth, function () use ($name, $units) {
                return $this->$name(1000 * $units);
            });
            $spent_s[$name] += self::cpu_s() - $began_s;
            $done[$name] += $units;
            $progress = $by_clock ? $spent_s : $done;
        }
        return $spent_s;
    }
}

function warm_up_until_go(): void
{
    do {
        for ($number = 0; $number < 5000; $number++);
        [$readable, $none] = [[STDIN], null];
    } while (!stream_select($readable, $none, $none, 0));
    fgets(STDIN);
}

$options = getopt('', ['cpu-seconds:', 'units:', 'depth:', 'warm-up']);
$by_clock = isset($options['cpu-seconds']);
echo "ready\n";
isset($options['warm-up']) ? warm_up_until_go() : fgets(STDIN);
$began_s = Splitter::cpu_s();
$split = (new Splitter())->split(
    (float) ($by_clock ? $options['cpu-seconds'] : $options['units']), $by_clock, (int) ($options['depth'] ?? 40)
);
$total_s = Splitter::cpu_s() - $began_s;
echo json_encode(['pids' => [getmypid()], 'cpu_s' => $split, 'total_cpu_s' => $total_s]), "\n";
stream_get_contents(STDIN);
