// Node reads this at its start, from NODE_OPTIONS. It sends TCP connections for Datadog's hosts to the
// gate's own port, where the certificate is chosen by SNI; what the client does on the connection,
// checking that certificate included, is left alone. https, http2, tls, fetch and undici all connect
// through the one method replaced here. Whatever fails in here leaves Node as it would be without.
// The gate fills in the two names in capitals.
'use strict'
try {
  const port = DDGATE_PORT
  const domains = DDGATE_DOMAINS
  const { Socket } = require('net')
  const connect = Socket.prototype.connect
  const loaded = Symbol.for('ddgate.preload')

  const isDatadog = host => {
    if (typeof host !== 'string') return false
    const name = host.toLowerCase().replace(/\.$/, '')
    return domains.some(domain => name === domain || name.endsWith('.' + domain))
  }
  const isTaken = number => (number == 443 || number == 80) && number !== true

  // The arguments to connect with in place of these; nothing where they are not for Datadog.
  // connect(options[, done]), connect(port, host[, done]), and connect([options, done]), which is
  // how net.connect hands on what it has sorted already, with a symbol on the list that says so.
  const elsewhere = list => {
    const first = list[0]
    if (Array.isArray(first)) {
      const inner = elsewhere(first)
      if (!inner) return
      for (const symbol of Object.getOwnPropertySymbols(first)) inner[symbol] = first[symbol]
      return [inner, ...list.slice(1)]
    }
    if (first !== null && typeof first === 'object') {
      if (first.path || !isTaken(first.port) || !isDatadog(first.host)) return
      const options = { ...first, host: '127.0.0.1', port }
      // They are about the way to Datadog: how its name is resolved, and from which address.
      for (const name of ['lookup', 'family', 'hints', 'localAddress', 'localPort', 'autoSelectFamily'])
        delete options[name]
      return [options, ...list.slice(1)]
    }
    if (isTaken(first) && isDatadog(list[1])) return [port, '127.0.0.1', ...list.slice(2)]
  }

  if (!connect[loaded]) {
    const replacement = {
      connect(...list) {
        let other
        try {
          other = elsewhere(list)
        } catch {}
        return Reflect.apply(connect, this, other ?? list)
      },
    }.connect
    Object.defineProperty(replacement, 'length', { value: connect.length, configurable: true })
    Object.defineProperty(replacement, loaded, { value: true })
    Socket.prototype.connect = replacement
  }
} catch {}
try {
  delete require.cache[__filename]
} catch {}
