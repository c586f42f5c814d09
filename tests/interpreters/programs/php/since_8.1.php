<?php
// Included by calls.php: the calls that PHP has from 8.1 on.

namespace App;

function resumes($fiber)
{
    $fiber->resume();
}

function suspends()
{
    yield 1;
    \Fiber::suspend();
    yield leaf();
}

enum Suit
{
    case Hearts;

    public function method()
    {
        return leaf();
    }
}

$fiber = new \Fiber(function () { leaf(); \Fiber::suspend(); leaf(); });
$fiber->start();
resumes($fiber);

$fiber = new \Fiber(function () {
    $inner = new \Fiber(function () {
        leaf();
        \Fiber::suspend();
        leaf();
    });
    $inner->start();
    leaf();
    $inner->resume();
});
$fiber->start();

$fiber = new \Fiber(function () { foreach (suspends() as $each); });
$fiber->start();
$fiber->resume();

plain(...)();
Suit::Hearts->method();
$nested = fn() => fn() => leaf();
$nested()();
