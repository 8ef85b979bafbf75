import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Java's clients: Checks CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back. */
public class Checks {
    static class Answer {
        int status;
        String length;
        byte[] body;
    }

    /** A body of a length, or in chunks. */
    static class Body {
        InputStream stream;
        int length;
        boolean isChunked, expects, closes;

        Body(int length) {
            this(new ByteArrayInputStream(new byte[length]), length);
        }

        Body(InputStream stream, int length) {
            this.stream = stream;
            this.length = length;
        }

        Body chunked() {
            isChunked = true;
            return this;
        }

        Body closing() {
            closes = true;
            return this;
        }

        Body expecting() {
            expects = true;
            return this;
        }
    }

    interface Client {
        Answer send(String method, String url, Body body, InetSocketAddress proxy) throws Exception;
    }

    public static class UrlConnection implements Client {
        public Answer send(String method, String url, Body body, InetSocketAddress proxy) throws Exception {
            Proxy way = proxy == null ? Proxy.NO_PROXY : new Proxy(Proxy.Type.HTTP, proxy);
            HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection(way);
            connection.setRequestMethod(method);
            if (body != null) {
                connection.setDoOutput(true);
                if (body.isChunked) {
                    connection.setChunkedStreamingMode(8192);
                } else {
                    connection.setFixedLengthStreamingMode(body.length);
                }
                if (body.expects) {
                    connection.setRequestProperty("Expect", "100-continue");
                }
                if (body.closes) {
                    connection.setRequestProperty("Connection", "close");
                }
                body.stream.transferTo(connection.getOutputStream());
            }
            Answer answer = new Answer();
            answer.status = connection.getResponseCode();
            answer.length = connection.getHeaderField("Content-Length");
            answer.body = (answer.status < 400 ? connection.getInputStream() : connection.getErrorStream()).readAllBytes();
            return answer;
        }
    }

    public static class NetHttp implements Client {
        private final HttpClient direct = HttpClient.newHttpClient();

        public Answer send(String method, String url, Body body, InetSocketAddress proxy) throws Exception {
            HttpClient client = direct;
            if (proxy != null) {
                client = HttpClient.newBuilder().proxy(ProxySelector.of(proxy)).build();
            }
            HttpRequest.BodyPublisher publisher = HttpRequest.BodyPublishers.noBody();
            if (body != null) {
                publisher = HttpRequest.BodyPublishers.ofInputStream(() -> body.stream);
                if (!body.isChunked) {
                    publisher = HttpRequest.BodyPublishers.fromPublisher(publisher, body.length);
                }
            }
            HttpRequest request = HttpRequest.newBuilder(URI.create(url)).version(HttpClient.Version.HTTP_1_1)
                .expectContinue(body != null && body.expects).method(method, publisher).build();
            HttpResponse<byte[]> response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
            Answer answer = new Answer();
            answer.status = response.statusCode();
            answer.length = response.headers().firstValue("Content-Length").orElse("none");
            answer.body = response.body();
            return answer;
        }
    }

    /** 60 KB at 20 KB/s. */
    static InputStream slowly() {
        return new InputStream() {
            private int left = 60_000;

            public int read() {
                throw new UnsupportedOperationException();
            }

            public int read(byte[] piece, int start, int length) {
                if (left == 0) {
                    return -1;
                }
                try {
                    Thread.sleep(100);
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
                int count = Math.min(2000, Math.min(left, length));
                left -= count;
                return count;
            }
        };
    }

    static Client client;
    static String url;

    static void show(String method, String url, Body body, InetSocketAddress proxy) throws Exception {
        Answer answer = client.send(method, url, body, proxy);
        System.out.print((answer.status == 200 ? "" : answer.status + " ") + new String(answer.body, "UTF-8"));
    }

    /** Posts 80 times, each on a connection that has been idle for about as long as the server allows. */
    static void postNearIdleTimeout(int millis) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(80);
        List<Future<Boolean>> posts = new ArrayList<>();
        for (int i = 0; i < 80; i++) {
            int wait = millis - 10 + i / 4;
            posts.add(threads.submit((Callable<Boolean>) () -> {
                client.send("POST", url + "/", new Body(4), null);
                Thread.sleep(wait);
                return client.send("POST", url + "/", new Body(4), null).status == 200;
            }));
        }
        int answered = 0;
        for (Future<Boolean> post : posts) {
            try {
                answered += post.get() ? 1 : 0;
            } catch (java.util.concurrent.ExecutionException e) {
                System.err.println(e.getCause());
            }
        }
        threads.shutdown();
        System.out.println(answered + " of 80 answered");
    }

    public static void main(String[] args) throws Exception {
        client = (Client) Class.forName(args[0]).getDeclaredConstructor().newInstance();
        String address = args[2];
        url = "http://" + address;
        switch (args[1]) {
            case "get" -> show("GET", url + "/", null, null);
            case "head" -> {
                Answer answer = client.send("HEAD", url + "/large", null, null);
                System.out.println(answer.status + " " + answer.length);
            }
            case "reuse" -> {
                show("GET", url + "/connection", null, null);
                show("POST", url + "/connection", new Body(4), null);
                show("GET", url + "/connection", null, null);
            }
            case "post" -> show("POST", url + "/", new Body(4), null);
            case "upload" -> show("POST", url + "/", new Body(5_000_000), null);
            case "unread" -> show("POST", url + "/early", new Body(5_000_000), null);
            case "chunked" -> show("POST", url + "/", new Body(5_000_000).chunked(), null);
            case "expect" -> show("POST", url + "/", new Body(4).expecting(), null);
            case "large" -> System.out.println(client.send("GET", url + "/large", null, null).body.length);
            case "query" -> show("GET", url + "/query?q=" + args[3], null, null);
            case "slow" -> show("POST", url + "/early", new Body(slowly(), 60_000).closing(), null);
            case "slow-chunked" -> show("POST", url + "/early", new Body(slowly(), 60_000).chunked(), null);
            case "idle" -> postNearIdleTimeout(Integer.parseInt(args[3]));
            case "proxy" -> {
                String[] parts = address.split(":");
                show("GET", "http://h:80/", null, new InetSocketAddress(parts[0], Integer.parseInt(parts[1])));
                show("GET", "http://h/", null, new InetSocketAddress(parts[0], Integer.parseInt(parts[1])));
            }
            default -> throw new IllegalArgumentException("no such check: " + args[1]);
        }
        System.exit(0); // the threads of a client may go on
    }
}
