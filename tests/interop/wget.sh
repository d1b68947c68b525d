#!/usr/bin/env bash
# GNU wget against Datadog; see README.md.
set -euo pipefail
. "$(dirname "$0")/steps.sh"

send() {
  local method=$1 url=$2 file=$3 arguments=()
  shift 3
  [ ! -s "$file" ] || arguments=(--body-file "$file")
  for header; do arguments+=(--header "$header"); done
  wget --no-verbose --tries 1 --timeout 60 --content-on-error --server-response \
    --output-document "$work/answer" --method "$method" "${arguments[@]}" "$url" 2>"$work/told" ||
    cat "$work/told" >&2
  awk '$1 ~ /^HTTP\// { status = $2 } END { print status }' "$work/told"
}

drive wget
