/** A web server and its client, threads, a child process and a memory-mapped file. */

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public class Hello {
    public static void main(String[] args) throws Exception {
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 5);
            exchange.getResponseBody().write("hello".getBytes());
            exchange.close();
        });
        server.start();
        var address = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/");
        var answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(address).build(), BodyHandlers.ofString());
        System.out.println("http " + answer.statusCode() + " " + answer.body());
        server.stop(0);

        var count = new AtomicInteger();
        var pool = Executors.newFixedThreadPool(8);
        for (var i = 0; i < 1000; i++) pool.execute(count::incrementAndGet);
        pool.shutdown();
        pool.awaitTermination(1, TimeUnit.MINUTES);
        System.out.println("threads " + count.get());

        var child = new ProcessBuilder("/bin/busybox", "echo", "child").start();
        System.out.print("exec " + new String(child.getInputStream().readAllBytes()));

        var file = Files.createTempFile("hello", ".map");
        try (var channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            channel.map(MapMode.READ_WRITE, 0, 4096).put(0, "map".getBytes());
            var read = ByteBuffer.allocate(3);
            channel.read(read, 0);
            System.out.println("mmap " + new String(read.array()));
        }
        System.exit(0);
    }
}
