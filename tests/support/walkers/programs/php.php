#!/usr/bin/env php
<?php
// Says what its stacks are, and waits. See tests/support/walkers/targets.py.
// Run with the name of a scenario: "kinds" (frames of every kind), "deep N" (a recursion); PHP has one thread.

namespace Walked;

function qualified(array $frame): string
{
    return (isset($frame['class']) ? $frame['class'] . '::' : '') . $frame['function'];
}

/** The frames of the callers, leaf first, each with the line that it runs. */
function callers(array $called): array
{
    $stack = [];
    foreach ($called as $at => $frame) {
        $name = isset($called[$at + 1]) ? qualified($called[$at + 1]) : '{main}';
        $stack[] = [$name, $frame['line'] ?? 0];
    }
    return $stack;
}

// One line, so that the stack stays as it was said.
function wait() {
    $leaf = [['fgets', 0], ['Walked\wait', __LINE__ + 1]];
    $said = json_encode(['tid' => getmypid(), 'stack' => array_merge($leaf, callers(debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS)))]); fwrite(STDOUT, "$said\n"); fgets(STDIN);
}

class Made
{
    public function __call(string $name, array $arguments)
    {
        wait();
    }

    public static function inner(): \Generator
    {
        yield (new Made())->missing();
    }

    public static function outer(): \Generator
    {
        yield from self::inner();
    }

    public static function outermost(): \Generator
    {
        yield from self::outer();
    }
}

function called_from_a_file(): void
{
    $both = [2, 1];
    usort($both, function ($one, $other) {
        foreach (Made::outermost() as $never) {
        }
        return $one <=> $other;
    });
}

function kinds(): void
{
    $file = tempnam(sys_get_temp_dir(), 'walked');
    file_put_contents($file, '<?php unlink(__FILE__); Walked\called_from_a_file();');
    eval('(function () use ($file) { require $file; })();');
}

function descend(int $depth): void
{
    if ($depth === 0) {
        wait();
        return;
    }
    descend($depth - 1);
}

if ($argv[1] === 'deep') {
    descend((int) $argv[2]);
} elseif (class_exists('Fiber')) {
    (new \Fiber(function () {
        kinds();
    }))->start();
} else {
    kinds();
}
