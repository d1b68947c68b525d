# Ruby against Datadog; see README.md. `ruby.rb net_http` obeys proxy variables; `ruby.rb httparty` is
# told to use no proxy, as Datadog's own gem does it, and obeys none.

require 'digest'
require 'json'
require 'net/http'
require 'stringio'
require 'zlib'

SITE = ENV.fetch('DD_SITE', 'datadoghq.com')
API = "https://api.#{SITE}"
INTAKE = "https://http-intake.logs.#{SITE}"

def net_http(method, url, headers, body)
  uri = URI(url)
  request = Net::HTTP.const_get(method.capitalize).new(uri, headers)
  request.body = body unless body.empty?
  answer = Net::HTTP.start(uri.host, uri.port, use_ssl: true, read_timeout: 60) { |http| http.request(request) }
  [answer.code.to_i, answer.body]
end

def httparty(method, url, headers, body)
  require 'httparty'
  options = { headers: headers, timeout: 60, format: :plain, http_proxyaddr: nil, http_proxyport: nil }
  options[:body] = body unless body.empty?
  answer = HTTParty.public_send(method.downcase, url, options)
  [answer.code, answer.body]
end

SEND = method(ARGV.fetch(0))

def call(method, path, value = nil, base: API, query: '', packed: false)
  plain = value ? JSON.generate(value) : ''
  body = packed ? Zlib.gzip(plain) : plain
  headers = { 'DD-API-KEY' => ENV.fetch('DD_API_KEY'), 'User-Agent' => "interop Ruby #{SEND.name}" }
  headers['Content-Type'] = 'application/json' unless body.empty?
  if packed
    headers['Content-Encoding'] = 'gzip'
  else
    headers['DD-APPLICATION-KEY'] = ENV.fetch('DD_APP_KEY')
  end
  status, answer = SEND.call(method, base + path + query, headers, body)
  line = { method: method, path: path, status: status,
           sha256_request: Digest::SHA256.hexdigest(body), sha256_response: Digest::SHA256.hexdigest(answer) }
  line[:sha256_unpacked] = Digest::SHA256.hexdigest(plain) if packed
  puts JSON.generate(line)
  abort "#{method} #{path} was answered with #{status}" unless status.between?(200, 299)
  JSON.parse(answer)
end

monitors = '/api/v1/monitor'
call('GET', monitors)
made = call('POST', monitors, { name: 'interop', type: 'query alert', query: 'avg(last_5m):avg:system.load.1{*} > 4' })
monitor = "#{monitors}/#{made['id']}"
call('GET', monitor)
call('PUT', monitor, { name: 'ünïcode ✓' })
call('DELETE', monitor)

dashboards = '/api/v1/dashboard'
board = { title: 'interop', layout_type: 'ordered', widgets: [] }
call('GET', dashboards)
dashboard = "#{dashboards}/#{call('POST', dashboards, board)['id']}"
call('GET', dashboard)
call('PUT', dashboard, board)
call('DELETE', dashboard)

now = Time.now.to_i
call('GET', '/api/v1/query', query: "?from=#{now - 3600}&to=#{now}&query=avg:system.load.1%7B*%7D")
logs = Array.new(500) { |n| { message: "interop #{n}", service: 'interop' } }
call('POST', '/api/v2/logs', logs, base: INTAKE, packed: true)
