<?php
// Calls leaf() in each way that PHP has. leaf() says its file, line and debug_backtrace() as a line of JSON, and then
// burns on that very line. No two of the stacks are equal: they differ in the lines of the calls at least.

namespace App;

function leaf(): int
{
    echo json_encode([__FILE__, __LINE__, debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS)]), "\n"; $number = 0; $until_s = microtime(true) + SECONDS; while (microtime(true) < $until_s) { for ($round = 0; $round < 1000; $round++) { $number += $round & 3; } }
    return $number;
}

function plain(): int
{
    return leaf();
}

class Base
{
    public $burns_at_its_end;

    public function method()
    {
        return $this->inner();
    }

    protected function inner()
    {
        return leaf();
    }

    public static function of_class()
    {
        return static::late();
    }

    public static function late()
    {
        return leaf();
    }

    public function closes()
    {
        $closure = function () { return leaf(); };
        return $closure();
    }

    public static function closes_statically()
    {
        $closure = static function () {
            return leaf();
        };
        return $closure();
    }

    public function __call($name, $arguments)
    {
        return leaf();
    }

    public static function __callStatic($name, $arguments)
    {
        return leaf();
    }

    public function __get($name)
    {
        return leaf();
    }

    public function __toString()
    {
        return (string)leaf();
    }

    public function __invoke()
    {
        return leaf();
    }

    public function __destruct()
    {
        if ($this->burns_at_its_end) {
            leaf();
        }
    }
}

class Child extends Base
{
}

trait Shared
{
    public function of_trait()
    {
        return leaf();
    }

    public static function of_trait_statically()
    {
        return leaf();
    }
}

class First
{
    use Shared;
}

class Second
{
    use Shared;
}

class Made implements \IteratorAggregate
{
    public function getIterator(): \Traversable
    {
        yield leaf();
    }
}

function innermost()
{
    yield 1;
    yield leaf();
}

function inner()
{
    yield from innermost();
}

function outer()
{
    yield 0;
    yield from inner();
}

function deeper(int $depth)
{
    if ($depth) {
        return deeper($depth - 1);
    }
    return leaf();
}

function throws()
{
    throw new \Exception('thrown');
}

function cleans_up()
{
    try {
        throws();
    } finally {
        leaf();
    }
}

function lacks()
{
    $nothing = [];
    return $nothing['undefined'];
}

function leaves()
{
    $local = new Child();
    $local->burns_at_its_end = true;
    return 1;
}

leaf();
plain();
(new Child())->method();
Child::of_class();
(new Child())->closes();
Child::closes_statically();
(new First())->of_trait();
(new Second())->of_trait();
Second::of_trait_statically();
deeper(10);

// Closures, and what is called by name.
$closure = function () { return leaf(); };
$closure();
$arrow = fn() => leaf();
$arrow();
\Closure::fromCallable('App\plain')();
\Closure::fromCallable([new Child(), 'method'])();
$closure->__invoke();
call_user_func([new Child(), 'method']);
call_user_func_array('App\plain', []);
(new \ReflectionMethod('App\Base', 'late'))->invoke(null);
$nameless = new class {
    public function method()
    {
        return (function () { return leaf(); })();
    }
};
$nameless->method();

// What PHP calls by itself.
(new Child())->missing();
Child::missing_statically();
$object = new Child();
$object->missing_property;
$text = "$object";
$object();
$object->burns_at_its_end = true;
$object = null;
leaves();
spl_autoload_register(function ($name) { leaf(); });
class_exists('App\Missing');
try { new Missing(); } catch (\Error $error) { }
set_error_handler(function ($number, $message) { leaf(); return true; });
lacks();
try { cleans_up(); } catch (\Exception $exception) { leaf(); }

// What internal functions call.
array_map(function ($each) { return leaf(); }, [1]);
array_map('App\plain', [1]);
$numbers = [2, 1];
usort($numbers, function ($first, $second) { leaf(); return $first - $second; });
(new \ArrayObject([2, 1]))->uasort(function ($first, $second) { leaf(); return $first - $second; });
preg_replace_callback('/a/', function ($match) { return leaf(); }, 'a');

// Generators.
foreach (innermost() as $each);
foreach (outer() as $each);
for ($generator = outer(); $generator->valid(); $generator->next());
foreach (new Made() as $each);
iterator_to_array(innermost());

// Files and eval.
eval('namespace App; leaf();
function evaluated() {
    return leaf();
}');
evaluated();
require_once __DIR__ . '/included.php';
(function () { include_once __DIR__ . '/included_too.php'; })();
include __DIR__ . '/included.php';
require __DIR__ . '/included.php';

if (PHP_VERSION_ID >= 80100) {
    require __DIR__ . '/since_8.1.php';
}
if (PHP_VERSION_ID >= 80400) {
    require __DIR__ . '/since_8.4.php';
}
register_shutdown_function(function () { leaf(); });
