# What every shell driver does; see README.md. To be sourced, with the client under test as the
# function `send`: `send METHOD URL FILE HEADER...` leaves the answer's body in $work/answer and
# prints its status. An empty FILE means no body. The arguments: the client's name, and the base
# URL, if one is to be used in place of the site's hosts.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/nothing"

digest() { { sha256sum 2>/dev/null || shasum -a 256; } <"$1" | cut -d' ' -f1; }
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/answer" "$1"; }

# call METHOD URL [FILE [UNPACKED]]: a packed FILE has a second one beside it.
call() {
  local method=$1 url=$2 file=${3:-$work/nothing} unpacked=${4:-} status path
  local headers=("DD-API-KEY: $DD_API_KEY" 'Content-Type: application/json')
  if [ -n "$unpacked" ]; then
    headers+=('Content-Encoding: gzip')
  else
    headers+=("DD-APPLICATION-KEY: $DD_APP_KEY")
  fi
  status=$(send "$method" "$url" "$file" "${headers[@]}")
  path=/${url#*://*/}
  printf '{"method":"%s","path":"%s","status":%s,"sha256_request":"%s","sha256_response":"%s"%s}\n' \
    "$method" "${path%%\?*}" "$status" "$(digest "$file")" "$(digest "$work/answer")" \
    "${unpacked:+,\"sha256_unpacked\":\"$(digest "$unpacked")\"}"
  case $status in 2*) ;; *) echo "$method $path was answered with $status" >&2; exit 1 ;; esac
}

# with METHOD URL JSON
with() {
  printf %s "$3" >"$work/body"
  call "$1" "$2" "$work/body"
}

drive() {
  local name=$1 site=${DD_SITE:-datadoghq.com}
  local api=${2:-https://api.$site} intake=${2:-https://http-intake.logs.$site} monitor dashboard now

  call GET "$api/api/v1/monitor"
  with POST "$api/api/v1/monitor" "{\"name\":\"interop $name\",\"type\":\"query alert\",\"query\":\"avg(last_5m):avg:system.load.1{*} > 4\"}"
  monitor=$(field id)
  call GET "$api/api/v1/monitor/$monitor"
  with PUT "$api/api/v1/monitor/$monitor" '{"name":"ünïcode ✓"}'
  call DELETE "$api/api/v1/monitor/$monitor"

  call GET "$api/api/v1/dashboard"
  with POST "$api/api/v1/dashboard" "{\"title\":\"interop $name\",\"layout_type\":\"ordered\",\"widgets\":[]}"
  dashboard=$(field id)
  call GET "$api/api/v1/dashboard/$dashboard"
  with PUT "$api/api/v1/dashboard/$dashboard" '{"title":"changed","layout_type":"ordered","widgets":[]}'
  call DELETE "$api/api/v1/dashboard/$dashboard"

  now=$(date +%s)
  call GET "$api/api/v1/query?from=$((now - 3600))&to=$now&query=avg:system.load.1%7B*%7D"

  printf '[{"message":"interop %s","service":"interop","ddtags":"env:test"}]' "$name" >"$work/plain"
  gzip -c <"$work/plain" >"$work/logs"
  call POST "$intake/api/v2/logs" "$work/logs" "$work/plain"
  # Above 1 MiB curl says Expect: 100-continue and waits for leave to send.
  head -c 1200000 /dev/urandom | base64 >"$work/plain"
  gzip -c <"$work/plain" >"$work/logs"
  call POST "$intake/api/v2/logs" "$work/logs" "$work/plain"
}
