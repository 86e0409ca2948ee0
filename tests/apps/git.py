"""git: a repository with a history, packed; all hashes are the same when the dates are."""

import os

from harness import compare, random_words

DATES = {"GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
         "GIT_CONFIG_NOSYSTEM": "1"}


def work(session):
    def git(*arguments):
        return session.run("/usr/bin/git", *arguments, env=DATES)

    git("init", "-q", "-b", "main", ".")
    git("config", "user.name", "A U Thor")
    git("config", "user.email", "author@example.com")
    for commit in range(8):
        for number in range(0, 400, commit + 1):
            path = session.path(f"dir{number % 20}")
            os.makedirs(path, exist_ok=True)
            with open(f"{path}/file{number}", "w", encoding="utf-8") as file:
                file.write(random_words(200 + number, seed=commit * 1000 + number))
        git("add", "-A")
        git("commit", "-q", "-m", f"commit {commit}")
    git("gc", "-q", "--aggressive", "--prune=now")
    return (git("log", "--stat", "-p", "--format=fuller") + git("fsck", "--full", "--strict")
            + git("rev-list", "--objects", "--all")
            + git("cat-file", "--batch-all-objects", "--batch-check")
            + git("blame", "dir0/file0") + git("grep", "-n", "w1f"))


compare(work)
