import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.
 *
 * <pre>CS_KEY_ID=ck_... CS_SECRET=css_... java Sign.java METHOD URL [BODY|@FILE] [CONTENT-TYPE]</pre>
 */
public class Sign {
    private static final SecureRandom RANDOM = new SecureRandom();

    /** The four headers of a request that is sent now. */
    static Map<String, String> sign(String method, URI url, byte[] body, String contentType, String keyId, String secret)
            throws GeneralSecurityException {
        byte[] nonce = new byte[16];
        RANDOM.nextBytes(nonce);
        return sign(method, url, body, contentType, keyId, secret, Instant.now().getEpochSecond(), HexFormat.of().formatHex(nonce));
    }

    /**
     * The four headers.
     *
     * @param contentType the value that will be sent, "" for none
     * @param timestamp   in seconds since 1970
     * @param nonce       16 to 64 of A-Z a-z 0-9 _ -, new for each request
     */
    static Map<String, String> sign(
            String method, URI url, byte[] body, String contentType, String keyId, String secret, long timestamp, String nonce)
            throws GeneralSecurityException {
        String host = url.getRawAuthority().toLowerCase(Locale.ROOT);
        String defaultPort = url.getScheme().equalsIgnoreCase("https") ? ":443" : ":80";
        if (host.endsWith(defaultPort)) {
            host = host.substring(0, host.length() - defaultPort.length());
        }
        // As HttpClient sends it: an empty path is "/", an empty query is none.
        String path = url.getRawPath().isEmpty() ? "/" : url.getRawPath();
        String query = url.getRawQuery() == null || url.getRawQuery().isEmpty() ? "" : "?" + url.getRawQuery();
        String lines = String.join("\n",
                "v3.0",
                keyId,
                Long.toString(timestamp),
                nonce,
                method.toUpperCase(Locale.ROOT),
                host,
                path + query,
                contentType,
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(UTF_8), "HmacSHA256"));
        return Map.of(
                "X-Key-Id", keyId,
                "X-Timestamp", Long.toString(timestamp),
                "X-Nonce", nonce,
                "X-Signature", "v3=" + HexFormat.of().formatHex(mac.doFinal(lines.getBytes(UTF_8))));
    }

    public static void main(String[] args) throws GeneralSecurityException, IOException, InterruptedException {
        String keyId = System.getenv("CS_KEY_ID"), secret = System.getenv("CS_SECRET");
        if (args.length < 2 || keyId == null || secret == null) {
            System.err.println("usage: CS_KEY_ID=ck_... CS_SECRET=css_... java Sign.java METHOD URL [BODY|@FILE] [CONTENT-TYPE]");
            System.exit(2);
        }
        String method = args[0].toUpperCase(Locale.ROOT);
        URI url = URI.create(args[1]);
        String data = args.length > 2 ? args[2] : "";
        byte[] body = data.startsWith("@") ? Files.readAllBytes(Path.of(data.substring(1))) : data.getBytes(UTF_8);
        String contentType = args.length > 3 ? args[3] : body.length > 0 ? "application/json" : "";

        var request = HttpRequest.newBuilder(url)
                .version(HttpClient.Version.HTTP_1_1)
                .method(method, body.length > 0 ? BodyPublishers.ofByteArray(body) : BodyPublishers.noBody());
        sign(method, url, body, contentType, keyId, secret).forEach(request::header);
        if (!contentType.isEmpty()) {
            request.header("Content-Type", contentType);
        }
        var answer = HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofByteArray());
        System.out.println(answer.statusCode());
        System.out.write(answer.body());
        System.out.flush();
        System.exit(answer.statusCode() / 100 == 2 ? 0 : 1);
    }
}
