<?php
// Shares its process's CPU time 60/30/10 among three methods: split.php SECONDS DEPTH. Says what each one took,
// {"cpu_s": {method: seconds}}, and ends. A loop, a closure that an internal function calls, and an internal
// function; below a closure and a recursion.

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

    public function split(float $goal_s, int $depth): array
    {
        mt_srand(20);
        $spent_s = array_fill_keys(array_keys(self::SHARES), 0.0);
        while (array_sum($spent_s) < $goal_s) {
            $name = 'heavy_share';
            foreach (self::SHARES as $each => $share) {
                if ($spent_s[$each] / $share < $spent_s[$name] / self::SHARES[$name]) {
                    $name = $each;
                }
            }
            $began_s = self::cpu_s();
            $this->descend($depth, function () use ($name) {
                return $this->$name(mt_rand(100000, 2000000));
            });
            $spent_s[$name] += self::cpu_s() - $began_s;
        }
        return $spent_s;
    }
}

$split = (new Splitter())->split((float) $argv[1], (int) $argv[2]);
echo json_encode(['cpu_s' => $split]), "\n";
