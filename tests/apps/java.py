"""openjdk: compile and run a source file; maps, streams, threads, direct buffers, compression."""

from harness import compare

SOURCE = r"""
import java.io.*;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Work {
    static String digest(String s) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(s.getBytes()));
    }

    static Map<String, List<Integer>> table(int n) {
        Map<String, List<Integer>> map = new TreeMap<>();
        for (int i = 0; i < n; i++)
            map.computeIfAbsent("key " + i % 997, k -> new ArrayList<>()).add(i * 31);
        return map;
    }

    public static void main(String[] args) throws Exception {
        System.out.println(digest(table(500000).toString()));
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<String>> results = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            final int n = 10000 + i * 1000;
            results.add(pool.submit(() -> digest(table(n).toString())));
        }
        for (Future<String> result : results)
            System.out.println(result.get());
        pool.shutdown();
        System.out.println(IntStream.range(0, 2000000).parallel().mapToLong(i -> (long) i * i % 1009).sum());

        /* Memory outside the Java heap: this comes from malloc. */
        List<ByteBuffer> buffers = new ArrayList<>();
        for (int i = 1; i <= 500; i++)
            buffers.add(ByteBuffer.allocateDirect(i * 300).putInt(0, i));
        System.out.println(buffers.stream().mapToInt(b -> b.getInt(0) + b.capacity()).sum());
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
            gzip.write(table(100000).toString().getBytes());
        }
        try (InputStream in = new GZIPInputStream(new ByteArrayInputStream(packed.toByteArray()))) {
            System.out.println(digest(new String(in.readAllBytes())) + " " + packed.size());
        }
    }
}
"""


def work(session):
    return session.run("/usr/bin/java", "-Xmx512m", session.write("Work.java", SOURCE))


compare(work)
