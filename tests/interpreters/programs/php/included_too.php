<?php
// Included by calls.php, once.

namespace App;

function defined_in_a_file()
{
    return leaf();
}

leaf();
defined_in_a_file();
