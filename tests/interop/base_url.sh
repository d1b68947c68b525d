#!/usr/bin/env bash
# The base URL alone, as Go programs use it: scheme, host and port of DD_HOST, no proxy, no TLS.
set -euo pipefail
exec "$(dirname "$0")/curl.sh" "$DD_HOST"
