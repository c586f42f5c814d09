<?php
/* A page that is made by a template which each request includes anew. */
declare(strict_types=1);

require_once __DIR__ . '/orders.php';

$orders = (new Orders(40))->all();
ob_start();
include __DIR__ . '/template.php';
echo ob_get_clean();
