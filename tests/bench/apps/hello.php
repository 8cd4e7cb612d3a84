<?php
// hello.php: hello.c for PHP: the same answers for the same query strings.
header('Content-Type: text/plain');
$query = $_SERVER['QUERY_STRING'];
if ($query === '') {
    echo 'hello';
    return;
}
parse_str($query, $asked);
if (isset($asked['read'])) {
    file_get_contents('php://input');
}
if (isset($asked['sleep'])) {
    usleep(1000 * (int) $asked['sleep']);
}
if (isset($asked['write'])) {
    $period = implode('', array_map('chr', range(33, 126)));
    echo substr(str_repeat($period, intdiv((int) $asked['write'], 94) + 1), 0, (int) $asked['write']);
} else {
    echo 'hello';
}
if (isset($asked['work'])) {
    fastcgi_finish_request();
    usleep(1000 * (int) $asked['work']);
}
