#!/bin/sh
# approve.sh ISSUER USER_CODE    does what alice does in a browser: signs in, lets the client have the
# scopes, enters the code, and says yes.
set -eu
B=${1%/oidc}; J=$(mktemp); trap 'rm -f "$J"' EXIT
ask() { curl -sS -m 20 -b "$J" -c "$J" -o /dev/null -H 'content-type: application/json' "$@"; }
ask "$B/auth/" -d '{"username":"alice","password":"secret-pass"}'
ask -X PUT "$B/auth/grant/ddgate-cli" -d '{"scope":"openid profile email groups"}'
ask "$B/oidc/device?code=$2"
ask "$B/oidc/device?code=$2&g_continue"
