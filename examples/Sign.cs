using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Tasks;

/// <summary>
/// Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.
/// mcs -r:System.Net.Http.dll Sign.cs
/// CS_KEY_ID=ck_... CS_SECRET=css_... mono Sign.exe METHOD URL [BODY|@FILE] [CONTENT-TYPE]
/// </summary>
public static class Sign
{
    /// <summary>Gives the four headers of a request that is sent now.</summary>
    /// <param name="contentType">The value that will be sent, "" for none.</param>
    public static Dictionary<string, string> Headers(
        string method, Uri url, byte[] body, string contentType, string keyId, string secret)
    {
        var nonce = new byte[16];
        using (var random = RandomNumberGenerator.Create()) random.GetBytes(nonce);
        return Headers(method, url, body, contentType, keyId, secret, DateTimeOffset.UtcNow.ToUnixTimeSeconds(), Hex(nonce));
    }

    /// <summary>Gives the four headers.</summary>
    /// <param name="timestamp">In seconds since 1970.</param>
    /// <param name="nonce">16 to 64 of A-Z a-z 0-9 _ -, new for each request.</param>
    public static Dictionary<string, string> Headers(
        string method, Uri url, byte[] body, string contentType, string keyId, string secret, long timestamp, string nonce)
    {
        using (var sha256 = SHA256.Create())
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(secret)))
        {
            var lines = string.Join("\n",
                "v3.0",
                keyId,
                timestamp.ToString(),
                nonce,
                method.ToUpperInvariant(),
                url.Authority, // in lower case, with a port only if it is not the default one
                url.PathAndQuery, // as HttpClient sends it
                contentType,
                Hex(sha256.ComputeHash(body)));
            return new Dictionary<string, string>
            {
                ["X-Key-Id"] = keyId,
                ["X-Timestamp"] = timestamp.ToString(),
                ["X-Nonce"] = nonce,
                ["X-Signature"] = "v3=" + Hex(hmac.ComputeHash(Encoding.UTF8.GetBytes(lines))),
            };
        }
    }

    static string Hex(byte[] bytes) => BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();

    static async Task<int> Send(string method, Uri url, byte[] body, string contentType, string keyId, string secret)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), url);
        foreach (var header in Headers(method, url, body, contentType, keyId, secret))
            request.Headers.Add(header.Key, header.Value);
        if (body.Length > 0 || contentType != "")
        {
            request.Content = new ByteArrayContent(body);
            if (contentType != "") request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(contentType);
        }
        // A redirect would need a signature of its own.
        using (var client = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false }))
        using (var answer = await client.SendAsync(request))
        {
            Console.WriteLine((int)answer.StatusCode);
            using (var output = Console.OpenStandardOutput()) await answer.Content.CopyToAsync(output);
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
    }

    public static void Main(string[] args)
    {
        var keyId = Environment.GetEnvironmentVariable("CS_KEY_ID");
        var secret = Environment.GetEnvironmentVariable("CS_SECRET");
        if (args.Length < 2 || keyId == null || secret == null)
        {
            Console.Error.WriteLine("usage: CS_KEY_ID=ck_... CS_SECRET=css_... Sign METHOD URL [BODY|@FILE] [CONTENT-TYPE]");
            Environment.Exit(2);
        }
        var data = args.Length > 2 ? args[2] : "";
        var body = data.StartsWith("@") ? File.ReadAllBytes(data.Substring(1)) : Encoding.UTF8.GetBytes(data);
        var contentType = args.Length > 3 ? args[3] : body.Length > 0 ? "application/json" : "";
        // HttpClient writes it with its own spaces ("text/plain; charset=utf-8"), so that is what is signed.
        if (contentType != "") contentType = MediaTypeHeaderValue.Parse(contentType).ToString();
        // Not an async Main that returns the status: Mono's compiler does not know one, and after its Main has returned
        // Mono sometimes waits a minute for its thread pool.
        Environment.Exit(Send(args[0].ToUpperInvariant(), new Uri(args[1]), body, contentType, keyId, secret).GetAwaiter().GetResult());
    }
}
