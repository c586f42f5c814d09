<?php
// Included by calls.php: the calls that PHP has from 8.4 on.

namespace App;

class Hooked
{
    public int $both {
        get {
            return leaf();
        }
        set(int $value) {
            leaf();
        }
    }
    public int $short { get => leaf(); }
}

class Lazy
{
    public $value = 1;

    public function __construct()
    {
        leaf();
    }
}

$hooked = new Hooked();
$hooked->both;
$hooked->both = 3;
$hooked->short;
$ghost = (new \ReflectionClass(Lazy::class))->newLazyGhost(function ($made) { $made->__construct(); });
$ghost->value;
array_find([1], function ($value) { return leaf(); });
