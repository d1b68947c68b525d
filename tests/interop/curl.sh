#!/usr/bin/env bash
# curl against Datadog; see README.md. Without an argument: https to the site, through HTTPS_PROXY.
# With one: plain http to that base URL.
set -euo pipefail
. "$(dirname "$0")/steps.sh"

send() {
  local method=$1 url=$2 file=$3 arguments=()
  shift 3
  [ ! -s "$file" ] || arguments=(--data-binary "@$file")
  for header; do arguments+=(--header "$header"); done
  curl --silent --show-error --globoff --max-time 60 --output "$work/answer" \
    --write-out '%{http_code}' --request "$method" "${arguments[@]}" "$url"
}

drive curl "$@"
