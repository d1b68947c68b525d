// The JDK's two HTTP clients against Datadog; see README.md. `java Client.java HttpURLConnection`,
// which Datadog's own Java client stands on, or `java Client.java HttpClient`, which speaks h2.

import java.io.ByteArrayOutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.zip.GZIPOutputStream;

public class Client {
    static final String SITE = System.getenv().getOrDefault("DD_SITE", "datadoghq.com");
    static final String API = "https://api." + SITE;
    static final HttpClient CLIENT = HttpClient.newHttpClient();
    static boolean old;

    record Answer(int status, byte[] body) {
        String field(String name) {
            var found = Pattern.compile("\"" + name + "\":\"?([^\",}]+)").matcher(new String(body, StandardCharsets.UTF_8));
            // Those of objects within come first.
            String last = null;
            while (found.find()) last = found.group(1);
            if (last == null) throw new IllegalStateException("no " + name);
            return last;
        }
    }

    static Answer send(String method, String url, Map<String, String> headers, byte[] body) throws Exception {
        if (old) {
            var connection = (HttpURLConnection) new URI(url).toURL().openConnection();
            connection.setRequestMethod(method);
            connection.setReadTimeout(60_000);
            headers.forEach(connection::setRequestProperty);
            if (body.length > 0) {
                connection.setDoOutput(true);
                connection.getOutputStream().write(body);
            }
            int status = connection.getResponseCode();
            var stream = status < 400 ? connection.getInputStream() : connection.getErrorStream();
            return new Answer(status, stream.readAllBytes());
        }
        var publisher = body.length > 0
            ? HttpRequest.BodyPublishers.ofByteArray(body) : HttpRequest.BodyPublishers.noBody();
        var request = HttpRequest.newBuilder(new URI(url)).timeout(Duration.ofSeconds(60)).method(method, publisher);
        headers.forEach(request::header);
        var answer = CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        return new Answer(answer.statusCode(), answer.body());
    }

    static String digest(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    static Answer call(String method, String base, String path, String query, String text, boolean packed) throws Exception {
        byte[] plain = text.getBytes(StandardCharsets.UTF_8);
        byte[] body = plain;
        var headers = new TreeMap<String, String>();
        headers.put("DD-API-KEY", System.getenv("DD_API_KEY"));
        if (packed) {
            var bytes = new ByteArrayOutputStream();
            try (var gzip = new GZIPOutputStream(bytes)) {
                gzip.write(plain);
            }
            body = bytes.toByteArray();
            headers.put("Content-Encoding", "gzip");
        } else {
            headers.put("DD-APPLICATION-KEY", System.getenv("DD_APP_KEY"));
        }
        if (body.length > 0) headers.put("Content-Type", "application/json");
        var answer = send(method, base + path + query, headers, body);
        System.out.printf(
            "{\"method\":\"%s\",\"path\":\"%s\",\"status\":%d,\"sha256_request\":\"%s\",\"sha256_response\":\"%s\"%s}%n",
            method, path, answer.status(), digest(body), digest(answer.body()),
            packed ? ",\"sha256_unpacked\":\"" + digest(plain) + "\"" : "");
        if (answer.status() < 200 || answer.status() > 299)
            throw new IllegalStateException(method + " " + path + " was answered with " + answer.status());
        return answer;
    }

    static Answer call(String method, String path, String text) throws Exception {
        return call(method, API, path, "", text, false);
    }

    public static void main(String[] words) throws Exception {
        old = words[0].equals("HttpURLConnection");
        String monitors = "/api/v1/monitor", dashboards = "/api/v1/dashboard";
        call("GET", monitors, "");
        var made = call("POST", monitors,
            "{\"name\":\"interop\",\"type\":\"query alert\",\"query\":\"avg(last_5m):avg:system.load.1{*} > 4\"}");
        String monitor = monitors + "/" + made.field("id");
        call("GET", monitor, "");
        call("PUT", monitor, "{\"name\":\"ünïcode ✓\"}");
        call("DELETE", monitor, "");

        String board = "{\"title\":\"interop\",\"layout_type\":\"ordered\",\"widgets\":[]}";
        call("GET", dashboards, "");
        String dashboard = dashboards + "/" + call("POST", dashboards, board).field("id");
        call("GET", dashboard, "");
        call("PUT", dashboard, board);
        call("DELETE", dashboard, "");

        long now = System.currentTimeMillis() / 1000;
        call("GET", API, "/api/v1/query", "?from=" + (now - 3600) + "&to=" + now + "&query=avg:system.load.1%7B*%7D", "", false);
        String logs = "[{\"message\":\"interop java\",\"service\":\"interop\"}]";
        call("POST", "https://http-intake.logs." + SITE, "/api/v2/logs", "", logs, true);
    }
}
