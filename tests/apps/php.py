"""PHP: arrays, strings, regular expressions and extensions, which it opens with RTLD_DEEPBIND; it
crashes under any allocator that leaves that flag."""

from harness import compare

SCRIPT = r"""<?php
$rows = [];
for ($i = 0; $i < 200000; $i++)
    $rows["key $i"] = ["n" => $i, "text" => str_repeat("x", $i % 200), "list" => range(0, $i % 7)];
for ($i = 0; $i < 200000; $i += 3)
    unset($rows["key $i"]);
$all = json_encode($rows);
echo strlen($all), " ", hash("sha256", $all), "\n";
$again = json_decode($all, true);
ksort($again);
echo md5(serialize($again)), "\n";
echo md5(preg_replace_callback('/\d+/', fn($m) => $m[0] * 2, substr($all, 0, 500000))), "\n";
foreach (["PDO", "ctype", "fileinfo", "tokenizer", "posix"] as $extension)
    echo $extension, " ", var_export(extension_loaded($extension), true), "\n";
echo (new finfo(FILEINFO_MIME_TYPE))->buffer("%PDF-1.4\n"), " ", ctype_alpha("abc") ? "y" : "n", " ",
    count(token_get_all("<?php echo 1;")), " ", posix_getpid() > 1 ? "y" : "n", "\n";
unset($rows, $again);
gc_collect_cycles();
"""


def work(session):
    return session.run("/usr/bin/php", session.write("script.php", SCRIPT))


compare(work)
