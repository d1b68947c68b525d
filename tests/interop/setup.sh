#!/usr/bin/env bash
# Installs the clients that the drivers here use, into this directory; what has to be built goes
# below target/. Does nothing the second time.
set -euo pipefail
cd "$(dirname "$0")"

digest() { cat "$@" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1; }

wanted=$(digest requirements.txt)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
  echo "$wanted" >.venv/installed
fi

wanted=$(digest package.json)
if [ "$(cat node_modules/installed 2>/dev/null)" != "$wanted" ]; then
  rm -rf node_modules
  npm install --no-package-lock --no-audit --no-fund --loglevel=error
  echo "$wanted" >node_modules/installed
fi

# One after the other: each with the TLS it comes with.
rust() {
  (cd rust && cargo build --quiet --locked --target-dir ../../../target/interop-rust --features "$1" --bin "$2")
}
rust reqwest plain
# Datadog's own is a million and a half lines: 9 GiB of memory and some six minutes of two processors.
if [ -n "${DDGATE_RUST_API_CLIENT:-}" ]; then
  rust api-client api_client
fi

.venv/bin/python -c 'import aiohttp, aiosonic, datadog, datadog_api_client, httpx, requests, urllib3'
[ "$(node_modules/.bin/node -p process.version)" = v24.21.0 ]
[ "$(node_modules/node-22/bin/node -p process.version)" = v22.23.3 ]
