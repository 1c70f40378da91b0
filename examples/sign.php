<?php
// Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.
//
//   CS_KEY_ID=ck_... CS_SECRET=css_... php sign.php METHOD URL [BODY|@FILE] [CONTENT-TYPE]

declare(strict_types=1);

/**
 * Gives the four headers.
 *
 * @param string $url as it will be sent, with everything encoded
 * @param string $contentType the value that will be sent, '' for none
 * @return array<string, string>
 */
function sign(
    string $method,
    string $url,
    string $body,
    string $contentType,
    string $keyId,
    #[\SensitiveParameter]
    string $secret,
    ?int $timestamp = null,
    ?string $nonce = null
): array {
    $timestamp ??= time();
    $nonce ??= bin2hex(random_bytes(16));
    $parts = parse_url($url);
    $defaultPort = strtolower($parts['scheme']) === 'https' ? 443 : 80;
    $port = $parts['port'] ?? $defaultPort;
    $lines = implode("\n", [
        'v3.0',
        $keyId,
        $timestamp,
        $nonce,
        strtoupper($method),
        strtolower($parts['host']) . ($port === $defaultPort ? '' : ":$port"),
        ($parts['path'] ?? '/') . (isset($parts['query']) ? '?' . $parts['query'] : ''),
        $contentType,
        hash('sha256', $body),
    ]);
    return [
        'X-Key-Id' => $keyId,
        'X-Timestamp' => (string) $timestamp,
        'X-Nonce' => $nonce,
        'X-Signature' => 'v3=' . hash_hmac('sha256', $lines, $secret),
    ];
}

/** @return array{int, string} the status and the answer */
function send(
    string $method,
    string $url,
    string $body,
    string $contentType,
    string $keyId,
    #[\SensitiveParameter]
    string $secret
): array {
    $headers = sign($method, $url, $body, $contentType, $keyId, $secret) + ['Content-Length' => (string) strlen($body)];
    if ($contentType !== '') {
        $headers['Content-Type'] = $contentType;
    }
    $context = stream_context_create(['http' => [
        'method' => strtoupper($method),
        'header' => array_map(fn ($name, $value) => "$name: $value", array_keys($headers), $headers),
        'content' => $body,
        'ignore_errors' => true, // gives the answer of a refusal, too
        'follow_location' => 0, // a redirect would need a signature of its own
        'timeout' => 30,
    ]]);
    $stream = fopen($url, 'r', false, $context);
    if ($stream === false) {
        throw new RuntimeException('no answer');
    }
    // "HTTP/1.1 200 OK"
    $status = explode(' ', stream_get_meta_data($stream)['wrapper_data'][0])[1];
    return [(int) $status, stream_get_contents($stream)];
}

function main(array $arguments): int
{
    [$method, $url, $data, $contentType] = $arguments + ['', '', '', ''];
    [$keyId, $secret] = [getenv('CS_KEY_ID'), getenv('CS_SECRET')];
    if ($url === '' || !$keyId || !$secret) {
        fwrite(STDERR, "usage: CS_KEY_ID=ck_... CS_SECRET=css_... php sign.php METHOD URL [BODY|@FILE] [CONTENT-TYPE]\n");
        return 2;
    }
    $body = str_starts_with($data, '@') ? file_get_contents(substr($data, 1)) : $data;
    if ($contentType === '' && $body !== '') {
        $contentType = 'application/json';
    }
    [$status, $answer] = send($method, $url, $body, $contentType, $keyId, $secret);
    echo $status, "\n", $answer;
    return intdiv($status, 100) === 2 ? 0 : 1;
}

// Not when another script includes this one.
if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    exit(main(array_slice($argv, 1)));
}
