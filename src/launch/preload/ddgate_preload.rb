# Ruby reads this at its start, from RUBYOPT. It sends TCP connections for Datadog's hosts to the gate's
# own port, where the certificate is chosen by SNI; what the client does on the connection, checking
# that certificate included, is left alone. Whatever fails in here leaves Ruby as it would be without.
# The gate fills in the two names in capitals.
begin
  require 'socket'

  unless TCPSocket.instance_variable_defined?(:@ddgate)
    TCPSocket.instance_variable_set(:@ddgate, true)

    elsewhere = lambda do |host, service|
      next unless host.is_a?(String) && %w[443 80 https http].include?(service.to_s)
      name = host.downcase.chomp('.')
      domains = DDGATE_DOMAINS
      ['127.0.0.1', DDGATE_PORT] if domains.any? { |domain| name == domain || name.end_with?(".#{domain}") }
    end

    # Both come with a host and a service first. A local address, the rest, is about the way to Datadog.
    redirected = lambda do |method|
      Module.new do
        define_method(method) do |*arguments, **options, &block|
          gate = elsewhere.call(*arguments.first(2)) if arguments.size >= 2
          arguments = gate if gate
          # Ruby before 2.7 would hand on an empty hash.
          options.empty? ? super(*arguments, &block) : super(*arguments, **options, &block)
        end
      end
    end
    # TCPSocket.new and .open both come through `initialize`.
    TCPSocket.prepend(redirected.call(:initialize))
    Socket.singleton_class.prepend(redirected.call(:tcp))
  end
rescue StandardError, LoadError
  nil
end
