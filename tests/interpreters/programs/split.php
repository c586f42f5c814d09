<?php
// Shares its process's CPU time 60/30/10 among three methods: split.php SECONDS DEPTH. For every PHP from 7.4 on.
// A loop, a closure that an internal function calls, and internal functions; below closures and recursion.
// Says {"cpu_s": {method: seconds}} and ends.

class Splitter
{
    const SHARES = ['heavy_share' => 0.6, 'medium_share' => 0.3, 'light_share' => 0.1];
    private string $letters;
    private array $numbers;

    public function __construct()
    {
        $this->letters = str_repeat(implode('', range('a', 'z')), 280);
        $this->numbers = range(1, 500);
    }

    public function heavy_share(int $rounds): int
    {
        $total = 0;
        while ($rounds > 0) {
            $total += $rounds & 7;
            $rounds--;
        }
        return $total;
    }

    public function medium_share(int $rounds): int
    {
        $total = 0;
        for ($done = 0; $done < $rounds; $done += 500) {
            array_walk($this->numbers, function ($number) use (&$total) { $total += $number & 7; });
        }
        return $total;
    }

    public function light_share(int $rounds): void
    {
        for ($done = 0; $done < $rounds; $done += 500) {
            similar_text(substr(strrev($this->letters), 0, 260), substr($this->letters, 0, 260));
        }
    }

    public function descend(int $depth, Closure $burner)
    {
        return $depth <= 1 ? $burner() : $this->descend($depth - 1, $burner);
    }

    public function split(float $goal_s, int $depth): array
    {
        mt_srand(20);
        $spent_s = array_fill_keys(array_keys(self::SHARES), 0.0);
        while (array_sum($spent_s) < $goal_s) {
            $behind = [];
            foreach (self::SHARES as $method => $share) {
                $behind[$method] = $spent_s[$method] / $share;
            }
            $name = array_search(min($behind), $behind);
            $began_s = self::clock();
            $this->descend($depth, function () use ($name) {
                return call_user_func([$this, $name], mt_rand(1000, 300000));
            });
            $spent_s[$name] += self::clock() - $began_s;
        }
        return $spent_s;
    }

    private static function clock(): float
    {
        $used = getrusage();
        return $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']
            + ($used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']) / 1e6;
    }
}

echo json_encode(['cpu_s' => (new Splitter())->split((float)$argv[1], (int)$argv[2])]), "\n";
