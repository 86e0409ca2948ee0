"""xz: compress and expand in two threads."""

from harness import compare, expect, random_words


def work(session):
    text = random_words(3_000_000)
    source = session.write("text", text)
    packed = session.run("/usr/bin/xz", "-3", "-T2", "--block-size=4MiB", "-k", "-c", source)
    expect(session.run("/usr/bin/xz", "-d", "-T2", "-c", stdin=packed) == text.encode(),
           "the round trip changed the text")
    return packed


compare(work)
