<?php
// For phpdbg: loads the classes of the libraries in this root, and stops at a breakpoint. A script that dies before
// says its error instead.

error_reporting(0);
const LIBRARY = '/usr/share/php/';
const FOLDERS = [
    'Composer', 'PhpParser', 'DeepCopy', 'Symfony/Component/Console', 'Symfony/Component/Finder',
    'Symfony/Component/Process', 'Symfony/Component/String',
];
const DECLARES_A_CLASS = '/^(abstract |final |readonly )*(class|interface|trait|enum) /m';
/** Tests and templates, and files of functions, which can be loaded only once. */
const LEFT_OUT = '~/(Resources|Tests|bin|tests|autoload)|functions|bootstrap|polyfill|dumped~i';

spl_autoload_register(function ($name) {
    $file = LIBRARY . strtr($name, '\\', '/') . '.php';
    if (file_exists($file)) {
        include_once $file;
    }
});

function load(string $folder): void
{
    $files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS));
    foreach ($files as $file) {
        if ($file->getExtension() === 'php' && !preg_match(LEFT_OUT, $file)) {
            $source = file_get_contents($file);
            if (preg_match('/^namespace /m', $source) && preg_match(DECLARES_A_CLASS, $source)) {
                try {
                    include_once (string)$file;
                } catch (Throwable $error) {
                    // Its parents are of a library that is not there.
                }
            }
        }
    }
}

ob_start();
register_shutdown_function(function () {
    ob_end_clean();
    echo json_encode(error_get_last()), "\n";
});
foreach (FOLDERS as $folder) {
    if (is_dir(LIBRARY . $folder)) {
        load(LIBRARY . $folder);
    }
}
ob_end_clean();
phpdbg_break_next();
exit;
