#!/bin/sh
# A second, independent OpenID provider: glewlwyd, as Debian packages it (C, about 10 MB resident).
# It needs glewlwyd, sqlite3, openssl, curl and python3.
#   up.sh PORT    prints one JSON line when it is ready, runs until its standard input closes, and
#                 keeps nothing. It knows one person, alice, and listens on 127.0.0.1 alone.
set -eu
PORT=$1; B=http://127.0.0.1:$PORT; D=$(mktemp -d); P=
trap '[ -z "$P" ] || kill $P 2>/dev/null; rm -rf "$D"' EXIT
trap 'exit 1' INT TERM
packaged() { dpkg -L glewlwyd glewlwyd-common | grep "/$1\$" | head -n 1; }
zcat "$(packaged init.sqlite3.sql.gz)" | sqlite3 "$D/gl.db"
zcat "$(packaged glewlwyd.conf.sample.gz)" > "$D/sample"
python3 - "$D" "$PORT" <<'PY'
import re, sys
d, port = sys.argv[1:]
t = open(f"{d}/sample").read()
def put(k, v):
    global t
    t, n = re.subn(rf"(?m)^#?\s*{k}\s*=.*$", f"{k}={v}", t, count=1)
    if not n: t += f"\n{k}={v}\n"
for k, v in [("port", port), ("bind_address", '"127.0.0.1"'), ("external_url", f'"http://127.0.0.1:{port}"'),
             ("log_mode", '"console"'), ("cookie_domain", '"127.0.0.1"'), ("cookie_secure", "0")]: put(k, v)
# One database block only: every one of the sample goes, then ours comes.
t = re.sub(r"(?ms)^database\s*=\s*\{.*?^\};?", "", t) + f'\ndatabase = {{ type = "sqlite3"; path = "{d}/gl.db" }};\n'
open(f"{d}/gl.conf", "w").write(t)
PY
glewlwyd --config-file="$D/gl.conf" > "$D/log" 2>&1 < /dev/null & P=$!
for i in $(seq 60); do
  # Somebody else may have the port by now, and answer or not.
  kill -0 "$P" 2>/dev/null || { cat "$D/log" >&2; exit 1; }
  curl -s -m 2 -o /dev/null "$B/api/auth/" && break
  sleep 0.25
done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$D/k.pem"
openssl pkey -in "$D/k.pem" -pubout -out "$D/p.pem"
api() {
  m=$1; u=$2; shift 2
  curl -sS -m 20 --fail-with-body -b "$D/jar" -c "$D/jar" -o /dev/null -X "$m" "$B/api/$u" \
    -H 'content-type: application/json' "$@"
}
api POST auth/ -d '{"username":"admin","password":"password"}'
python3 - "$D" "$B" <<'PY'
import json, sys
d, b = sys.argv[1:]
read = lambda f: open(f"{d}/{f}").read()
write = lambda f, o: json.dump(o, open(f"{d}/{f}", "w"))
many = {"multiple": True, "read": True, "write": True, "profile-read": True, "profile-write": False}
write("um", {"module": "database", "name": "database", "display_name": "db", "order_rank": 0, "enabled": True, "readonly": False,
  "multiple_passwords": False, "parameters": {"use-glewlwyd-connection": True, "data-format": {"groups": many}}})
for s in ["profile", "email", "groups"]:
    write(f"s_{s}", {"name": s, "display_name": s, "description": s, "password_required": True, "scheme": {}})
write("plugin", {"module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": True, "parameters": {
  "iss": f"{b}/api/oidc", "jwt-type": "rsa", "jwt-key-size": "256", "key": read("k.pem"), "cert": read("p.pem"),
  "access-token-duration": 3600, "refresh-token-duration": 1209600, "code-duration": 600,
  "refresh-token-rolling": True, "refresh-token-one-use": "always", "allow-non-oidc": False,
  "auth-type-code-enabled": True, "auth-type-token-enabled": False, "auth-type-id-token-enabled": True,
  "auth-type-none-enabled": False, "auth-type-password-enabled": False, "auth-type-client-enabled": False,
  "auth-type-device-enabled": True, "auth-type-refresh-enabled": True,
  "device-authorization-expiration": 600, "device-authorization-interval": 1,
  "subject-type": "public", "jwks-show": True, "name-claim": "mandatory", "email-claim": "mandatory", "scope-claim": "no",
  "allowed-scope": ["openid", "profile", "email", "groups"],
  "claims": [{"name": "groups", "user-property": "groups", "type": "string", "mandatory": True, "on-demand": False, "scope": []}],
  "pkce-allowed": True, "introspection-revocation-allowed": True, "introspection-revocation-allow-target-client": True}})
write("client", {"client_id": "ddgate-cli", "name": "ddgate", "confidential": False, "redirect_uri": ["http://127.0.0.1/callback"],
  "authorization_type": ["code", "device_authorization", "refresh_token"], "scope": [], "enabled": True, "token_endpoint_auth_method": ["none"]})
write("user", {"username": "alice", "password": "secret-pass", "name": "Alice Example", "email": "alice@example.test",
  "scope": ["openid", "profile", "email", "groups", "g_profile"], "enabled": True, "groups": ["eng", "oncall"]})
PY
# The sample database may have these already.
for s in profile email groups; do api POST scope/ -d @"$D/s_$s" || true; done
api PUT mod/user/database -d @"$D/um"; api PUT mod/user/database/reset
api POST mod/plugin/ -d @"$D/plugin"; api POST client/ -d @"$D/client"; api POST user/ -d @"$D/user"
echo "{\"ready\":true,\"issuer\":\"$B/api/oidc\",\"client_id\":\"ddgate-cli\"}"
cat > /dev/null
