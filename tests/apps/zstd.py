"""zstd: compress and expand, in two threads, with long matches, and at a high level."""

from harness import compare, expect, random_words


def round_trip(session, text, *options):
    source = session.write("text", text)
    packed = session.run("/usr/bin/zstd", *options, "-q", "-k", "-c", source)
    expanded = session.run("/usr/bin/zstd", "-d", "-q", "-c", "--long=27", stdin=packed)
    expect(expanded == text.encode(), f"the round trip with {options} changed the text")
    return packed


def work(session):
    text = random_words(3_000_000)
    return (round_trip(session, text, "-3", "-T2")
            + round_trip(session, text, "-12", "-T2", "--long=27")
            + round_trip(session, text[:3_000_000], "-19"))


compare(work)
