<?php
// Included by calls.php in each way that can be repeated.

namespace App;

leaf();
