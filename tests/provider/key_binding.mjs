// OpenID Connect Key Binding 1.0 (draft 03), which oidc-provider does not know: the checks of sections
// 2 to 5 around its token endpoint, and the key in the ID token. The proofs themselves are checked by
// oidc-provider (RFC 9449); this only reads them.
import { createHash } from 'node:crypto';

import * as jose from 'jose';

const hash = (text) => createHash('sha256').update(text).digest('base64url');
const read = (part) => JSON.parse(Buffer.from(part, 'base64url'));

/** Header and claims of a request's proof, unchecked. */
export function proofOf(req) {
  const [header, claims] = (req.headers.dpop ?? '').split('.');
  if (!claims) return null;
  try { return { header: read(header), claims: read(claims) }; } catch { return null; }
}

export class KeyBinding {
  #provider;
  #refused;
  #devices = new Map(); // device_code -> dpop_jkt

  constructor(provider, refused) {
    this.#provider = provider;
    this.#refused = refused;
  }

  /** What a code or a refresh token was given for: its scope, the key it is tied to, what is hashed. */
  async #asked(params) {
    const { AuthorizationCode, DeviceCode, RefreshToken } = this.#provider;
    switch (params.grant_type) {
      case 'authorization_code': {
        const code = await AuthorizationCode.find(params.code);
        return { scope: code?.scope, jkt: code?.dpopJkt, code: params.code };
      }
      case 'refresh_token': {
        const token = await RefreshToken.find(params.refresh_token);
        return { scope: token?.scope, jkt: token?.jkt };
      }
      default: {
        const code = await DeviceCode.find(params.device_code);
        return { scope: code?.params.scope, jkt: this.#devices.get(params.device_code), code: params.device_code };
      }
    }
  }

  async check(ctx, next) {
    const refuse = (error, why) => { ctx.status = 400; ctx.body = { error, error_description: why }; };
    const params = ctx.req.body ?? {};
    const wants = (scope) => (scope ?? '').split(' ').includes('bound_key');
    if (this.#refused && wants(params.scope)) return refuse('invalid_scope', 'bound_key is not for this client');
    if (this.#refused && ctx.path.endsWith('/auth') && wants(ctx.query.scope)) {
      const back = new URL(ctx.query.redirect_uri);
      back.search = new URLSearchParams({ error: 'invalid_scope', state: ctx.query.state, iss: this.#provider.issuer });
      return ctx.redirect(back.href);
    }
    if (ctx.req.testPoint === 'device') {
      if (wants(params.scope) && !params.dpop_jkt) return refuse('invalid_request', 'bound_key needs dpop_jkt');
      await next();
      if (ctx.status === 200) this.#devices.set(ctx.body.device_code, params.dpop_jkt);
      return undefined;
    }
    if (ctx.req.testPoint === 'token') {
      const { scope, jkt, code } = await this.#asked(params);
      // Without dpop_jkt there must be no cnf, whatever proof comes.
      if (wants(scope) && jkt) {
        const proof = proofOf(ctx.req);
        // A refresh token in other hands is for oidc-provider to refuse, which ties it to the same key.
        if (code && !proof) return refuse('invalid_request', 'bound_key needs a DPoP proof');
        if (code && await jose.calculateJwkThumbprint(proof.header.jwk) !== jkt) return refuse('invalid_request', 'the proof is of another key than dpop_jkt');
        if (code && proof.claims.c_s256 !== hash(code)) return refuse('invalid_request', 'c_s256 is not the hash of the code');
        ctx.req.boundKey = proof?.header.jwk;
      }
    }
    return next();
  }

  /** Puts the key into an ID token of a request that passed. */
  into(req, claims, header) {
    if (!req.boundKey) return { claims, header };
    return { claims: { ...claims, cnf: { jwk: req.boundKey } }, header: { ...header, typ: 'dpop+id_token' } };
  }
}
