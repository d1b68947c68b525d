#!/usr/bin/env bash
# Installs the clients that the drivers here use, into this directory. Does nothing the second time.
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

.venv/bin/python -c 'import aiohttp, aiosonic, datadog, datadog_api_client, httpx, requests, urllib3'
[ "$(node_modules/.bin/node -p process.version)" = v24.21.0 ]
[ "$(node_modules/node-22/bin/node -p process.version)" = v22.23.3 ]
