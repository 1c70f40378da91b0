# frozen_string_literal: true

# Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.
#
#   CS_KEY_ID=ck_... CS_SECRET=css_... ruby sign.rb METHOD URL [BODY|@FILE] [CONTENT-TYPE]

require "net/http"
require "openssl"
require "securerandom"
require "uri"

# Gives the four headers. `content_type` is the value that will be sent, "" for none.
def sign(method, url, body, content_type, key_id, secret, timestamp: Time.now.to_i, nonce: SecureRandom.hex(16))
  uri = URI(url)
  lines = [
    "v3.0",
    key_id,
    timestamp,
    nonce,
    method.upcase,
    uri.host.downcase + (uri.port == uri.default_port ? "" : ":#{uri.port}"),
    uri.request_uri, # as Net::HTTP sends it
    content_type,
    OpenSSL::Digest::SHA256.hexdigest(body)
  ].join("\n")
  {
    "X-Key-Id" => key_id,
    "X-Timestamp" => timestamp.to_s,
    "X-Nonce" => nonce,
    "X-Signature" => "v3=#{OpenSSL::HMAC.hexdigest("SHA256", secret, lines)}"
  }
end

def main(method, url, data = "", content_type = "")
  body = data.start_with?("@") ? File.binread(data.delete_prefix("@")) : data
  content_type = "application/json" if content_type.empty? && !body.empty?
  headers = sign(method, url, body, content_type, ENV.fetch("CS_KEY_ID"), ENV.fetch("CS_SECRET"))
  headers["Content-Type"] = content_type unless content_type.empty?

  uri = URI(url)
  answer = Net::HTTP.start(uri.hostname, uri.port, use_ssl: uri.scheme == "https") do |http|
    # No body is nil: to an empty one Net::HTTP would add a Content-Type that is not signed.
    http.send_request(method.upcase, uri.request_uri, body.empty? ? nil : body, headers)
  end
  puts answer.code
  $stdout.binmode.write(answer.body)
  answer.is_a?(Net::HTTPSuccess)
end

if $PROGRAM_NAME == __FILE__
  abort "usage: ruby sign.rb METHOD URL [BODY|@FILE] [CONTENT-TYPE]" unless ARGV.length.between?(2, 4)
  exit main(*ARGV)
end
