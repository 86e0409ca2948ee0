"""postgres: initdb, pgbench, and queries that sort, hash and aggregate; on a unix socket in a
directory of our own, as user postgres if we are root (which the server refuses to be)."""

import glob
import os
import pwd
import re

from harness import compare, expect

QUERIES = """
SELECT count(*), sum(abalance), sum(aid % 17) FROM pgbench_accounts;
SELECT sum(tbalance) FROM pgbench_tellers;
SELECT sum(bbalance) FROM pgbench_branches;
SELECT count(*), sum(delta), sum(aid) FROM pgbench_history;
SET work_mem = '64MB';
SELECT md5(string_agg(md5(aid::text || abalance::text), ',' ORDER BY abalance, aid DESC)) FROM pgbench_accounts;
SELECT a.bid, count(*), sum(b.abalance) FROM pgbench_accounts a JOIN pgbench_accounts b ON b.aid = a.aid * 2 GROUP BY 1 ORDER BY 1;
CREATE TABLE words AS SELECT i, md5(i::text) w, repeat(i::text, i % 100) t FROM generate_series(1, 100000) i;
CREATE INDEX ON words(w);
SELECT substr(w, 1, 2), count(*), max(length(t)) FROM words GROUP BY 1 ORDER BY 1;
SELECT md5(json_agg(row_to_json(words) ORDER BY i)::text) FROM words WHERE i % 10 = 0;
DELETE FROM words WHERE i % 3 = 0;
VACUUM FULL words;
SELECT count(*), sum(hashtext(t)) FROM words;
"""


def tool(name):
    return sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[-1]


class Server:
    def __init__(self, session):
        self.session = session
        self.data = session.path("data")
        session.env["PGHOST"] = session.directory
        session.env["PGDATABASE"] = "postgres"
        session.run(tool("initdb"), "-D", self.data, "-A", "trust", "--no-sync", "--locale=C",
                    "-E", "UTF8")
        session.run(tool("pg_ctl"), "-D", self.data, "-l", session.path("log"), "-w", "-s", "-o",
                    f"-k {session.directory} -h '' -c fsync=off -c autovacuum=off", "start")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.session.run(tool("pg_ctl"), "-D", self.data, "-w", "-s", "-m", "fast", "stop")


def become_postgres(session):
    """A server needs a user that is not root; a test run by anybody else stays itself."""
    if os.geteuid() == 0:
        session.user = "postgres"
        os.chown(session.directory, pwd.getpwnam("postgres").pw_uid, -1)


def query(session, sql):
    return session.run(tool("psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", stdin=sql)


def work(session):
    become_postgres(session)
    with Server(session):
        session.run(tool("pgbench"), "-i", "-q", "-s", "2")
        one = session.run(tool("pgbench"), "-n", "-c", "1", "-t", "1000", "--random-seed=42")
        output = query(session, QUERIES)
        # Several clients change rows in no fixed order: only that all is done can be compared.
        many = session.run(tool("pgbench"), "-n", "-c", "6", "-j", "2", "-t", "300")
        output += query(session, "SELECT count(*) FROM pgbench_history;")
    expect(re.search(rb"processed: 1000/1000", one), "pgbench with one client")
    expect(re.search(rb"processed: 1800/1800", many), "pgbench with six clients")
    return output


compare(work)
