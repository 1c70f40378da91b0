#!/bin/sh
# Signs a request by the scheme v3.0 with openssl and sends it with curl. Prints the status and the answer; ends with 0 on 2xx.
#
#   CS_KEY_ID=ck_... CS_SECRET=css_... sh sign.sh METHOD URL [BODY|@FILE] [CONTENT-TYPE]
#
# For a script of your own, copy what stands above `main` and call `sign`.

# `openssl dgst -hmac KEY` and `openssl mac` take the key as an argument, which every user of the machine can read in `ps`
# (openssl 4.0 is the first with `-hmac-env`). So HMAC is put together below from two hashes, and the key goes through
# `printf` and pipes alone. That holds when `printf` is part of the shell: in dash, bash, ksh93 and busybox it is.
[ "$(command -v printf)" = printf ] || { echo 'sign.sh: this shell has no printf of its own' >&2; exit 2; }

# sign METHOD URL BODY-FILE CONTENT-TYPE KEY-ID SECRET [TIMESTAMP NONCE]: prints the four headers.
# CONTENT-TYPE is the value that will be sent, or nothing. URL is as it will be sent, with everything encoded.
sign() (
  timestamp=${7:-$(date +%s)} nonce=${8:-$(openssl rand -hex 16)}
  method=$(printf %s "$1" | tr '[:lower:]' '[:upper:]')
  rest=${2#*://}
  rest=${rest%%#*}
  host=${rest%%[/?]*}
  target=${rest#"$host"}
  case $target in /*) ;; *) target=/$target ;; esac
  origin=$(printf %s "${2%%://*}://$host" | tr '[:upper:]' '[:lower:]')
  host=${origin#*://}
  case $origin in http://*:80 | https://*:443) host=${host%:*} ;; esac
  body=$(sha256 <"$3")
  mac=$(printf 'v3.0\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s' \
    "$5" "$timestamp" "$nonce" "$method" "$host" "$target" "$4" "$body" | hmac_sha256 "$6")
  printf 'X-Key-Id: %s\nX-Timestamp: %s\nX-Nonce: %s\nX-Signature: v3=%s\n' "$5" "$timestamp" "$nonce" "$mac"
)

# The SHA-256 of the standard input in hexadecimal.
sha256() {
  openssl dgst -sha256 -r | cut -d ' ' -f 1
}

# hmac_sha256 KEY: the HMAC-SHA256 of the standard input in hexadecimal, as RFC 2104 builds it.
hmac_sha256() {
  key=$(printf %s "$1" | if [ ${#1} -gt 64 ]; then openssl dgst -sha256 -binary; else cat; fi | od -An -v -tu1)
  inner='' outer='' length=0
  set -- $key
  while [ $length -lt 64 ]; do
    i=$((${1:-0} ^ 0x36)) o=$((${1:-0} ^ 0x5c))
    inner=$inner\\$((i >> 6))$((i >> 3 & 7))$((i & 7))
    outer=$outer\\$((o >> 6))$((o >> 3 & 7))$((o & 7))
    [ $# -eq 0 ] || shift
    length=$((length + 1))
  done
  { printf "$inner"; cat; } | openssl dgst -sha256 -binary | { printf "$outer"; cat; } | sha256
}

main() (
  set -eu
  [ $# -ge 2 ] || { echo 'usage: sign.sh METHOD URL [BODY|@FILE] [CONTENT-TYPE]' >&2; exit 2; }
  : "${CS_KEY_ID:?is not set}" "${CS_SECRET:?is not set}"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # A file, because $(...) would cut line feeds off the end of the body.
  case ${3-} in @*) cat "${3#@}" ;; *) printf %s "${3-}" ;; esac >"$work/body"
  type=${4-}
  [ -n "$type" ] || [ ! -s "$work/body" ] || type=application/json
  method=$(printf %s "$1" | tr '[:lower:]' '[:upper:]') url=$2

  sign "$method" "$url" "$work/body" "$type" "$CS_KEY_ID" "$CS_SECRET" >"$work/headers"
  # Without a value curl leaves out the Content-Type that it would add on its own.
  printf '%s\n' "Content-Type:${type:+ $type}" >>"$work/headers"
  set -- --data-binary "@$work/body"
  [ -s "$work/body" ] || case $method in
    GET | DELETE) set -- ;;
    HEAD) set -- --head ;;
  esac
  # --globoff and --path-as-is: the URL goes out as it was signed.
  status=$(curl --silent --show-error --globoff --path-as-is --request "$method" --header "@$work/headers" "$@" \
    --output "$work/answer" --write-out '%{http_code}' "$url")
  echo "$status"
  cat "$work/answer"
  case $status in 2??) ;; *) exit 1 ;; esac
)

main "$@"
