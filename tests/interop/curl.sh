#!/usr/bin/env bash
# curl against Datadog. Without arguments: https to the site, through HTTPS_PROXY. With one: plain
# http to that base URL. See README.md for what it prints.
set -euo pipefail

site=${DD_SITE:-datadoghq.com}
api=${1:-https://api.$site}
intake=${1:-https://http-intake.logs.$site}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/nothing"

digest() { { sha256sum 2>/dev/null || shasum -a 256; } <"$1" | cut -d' ' -f1; }
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/answer" "$1"; }

# call METHOD URL [FILE [CURL ARGUMENT...]]: leaves the answer in $work/answer
call() {
  local method=$1 url=$2 file=${3:-$work/nothing} status path
  shift 2
  [ $# -eq 0 ] || shift
  local body=()
  [ "$file" = "$work/nothing" ] || body=(--data-binary "@$file")
  status=$(curl --silent --show-error --globoff --max-time 60 --output "$work/answer" --write-out '%{http_code}' \
    --request "$method" --header "DD-API-KEY: $DD_API_KEY" --header "DD-APPLICATION-KEY: $DD_APP_KEY" \
    --header 'Content-Type: application/json' ${body[@]+"${body[@]}"} "$@" "$url")
  path=/${url#*://*/}
  printf '{"method":"%s","path":"%s","status":%s,"sha256_request":"%s","sha256_response":"%s"}\n' \
    "$method" "${path%%\?*}" "$status" "$(digest "$file")" "$(digest "$work/answer")"
  case $status in 2*) ;; *) echo "curl.sh: $method $path was answered with $status" >&2; exit 1 ;; esac
}

# send METHOD URL JSON
send() {
  printf %s "$3" >"$work/body"
  call "$1" "$2" "$work/body"
}

call GET "$api/api/v1/monitor"
send POST "$api/api/v1/monitor" '{"name":"interop curl","type":"query alert","query":"avg(last_5m):avg:system.load.1{*} > 4"}'
monitor=$(field id)
call GET "$api/api/v1/monitor/$monitor"
send PUT "$api/api/v1/monitor/$monitor" '{"name":"interop curl, changed"}'
call DELETE "$api/api/v1/monitor/$monitor"

call GET "$api/api/v1/dashboard"
send POST "$api/api/v1/dashboard" '{"title":"interop curl","layout_type":"ordered","widgets":[]}'
dashboard=$(field id)
call GET "$api/api/v1/dashboard/$dashboard"
send PUT "$api/api/v1/dashboard/$dashboard" '{"title":"interop curl, changed","layout_type":"ordered","widgets":[]}'
call DELETE "$api/api/v1/dashboard/$dashboard"

now=$(date +%s)
call GET "$api/api/v1/query?from=$((now - 3600))&to=$now&query=avg:system.load.1{*}"

printf '[{"message":"interop curl","service":"interop","ddtags":"env:test"}]' | gzip -c >"$work/logs"
call POST "$intake/api/v2/logs" "$work/logs" --header 'Content-Encoding: gzip'
# Above 1 MiB curl says Expect: 100-continue and waits for leave to send.
head -c 1200000 /dev/urandom | base64 | gzip -c >"$work/logs"
call POST "$intake/api/v2/logs" "$work/logs" --header 'Content-Encoding: gzip' --header 'Expect: 100-continue'
