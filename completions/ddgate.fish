# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ddgate_global_optspecs
    string join \n config= data-dir= profile= color= v/verbose h/help V/version
end

function __fish_ddgate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ddgate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ddgate_using_subcommand
    set -l cmd (__fish_ddgate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ddgate -n "__fish_ddgate_needs_command" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_needs_command" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_needs_command" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_needs_command" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_needs_command" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_needs_command" -s V -l version -d 'Print version'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "run" -d 'Run a command behind the gate'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "mcp" -d 'Run an MCP server behind the gate, and record the tools that are called'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "replay" -d 'Show a session as a timeline'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "show" -d 'Show one call of a session in full'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "verify" -d 'Check that a session\'s record is what was signed'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "export" -d 'Write a session out in published formats'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "prove" -d 'Write out one call with a proof that it is in the session\'s log'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "sessions" -d 'List the sessions on this machine, the latest first'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "erase" -d 'Erase what a session holds, and keep the proof of what happened'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "login" -d 'Sign in'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "logout" -d 'Sign out, here and at the identity provider'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "status" -d 'Show who is signed in, which keys there are, and where things are kept'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "doctor" -d 'Look at everything a run stands on, and say what to do next'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "keys" -d 'Hand the gate the Datadog keys it is to hold'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "demo" -d 'See it work against a pretend Datadog, without account or network'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "pseudonym" -d 'Print the pseudonym that stands in the record for a value'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "config" -d 'Look at the configuration'
complete -c ddgate -n "__fish_ddgate_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l identity -d 'Who a session belongs to' -r -f -a "local\t'The operating system\'s user, recorded as unverified'
oidc\t'The person an OpenID Connect provider vouches for'"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l upstream -d 'Reach Datadog at this address instead (the Host header is kept)' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l site -d 'The Datadog site, for example datadoghq.eu' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l issuer -d 'The OpenID Connect issuer to sign in with' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l client-id -d 'The public client id of ddgate at the issuer' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l prompt -d 'Whether ddgate may ask the person something' -r -f -a "auto\t'On a terminal, outside CI'
always\t'Always'
never\t'Never: fail at once where an answer would be needed'"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l durability -d 'What an acknowledged record survives: `process` is for throwaway runs' -r -f -a "power-loss\t'A power cut'
process\t'The end of ddgate\'s process, but no power cut'"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l allow -d 'Allow these operations and deny all others; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l deny -d 'Deny these operations, even allowed ones; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l enforce -d 'What the system, which must be Linux, is to hold the command to' -r -f -a "auto\t'As much as this system can; what that is, is said and recorded'
on\t'TCP leads to the gate alone, or the command does not run'
strict\t'The same, and no UDP, so no DNS'
off\t'Nothing'"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l allow-port -d 'Let the command connect to this TCP port itself, on any host; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l egress -d 'Whom the command may reach through the gate beside Datadog' -r -f -a "any\t'Everybody; each connection is recorded: host, bytes, time'
listed\t'The hosts named by --allow-host and by the settings'
datadog-only\t'Nobody but Datadog'"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l allow-host -d 'A host it may reach through the gate, such as *.example.com; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l browser -d 'Sign in with a browser on this machine (authorization code with PKCE)'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l device -d 'Sign in with a code, on any device (the default)'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l no-browser -d 'Open no browser, only show the address'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l qr -d 'Show the address as a QR code as well'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -l read-only -d 'Deny every call that is not a read'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -s q -l quiet -d 'Say nothing unless something is wrong'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l identity -d 'Who a session belongs to' -r -f -a "local\t'The operating system\'s user, recorded as unverified'
oidc\t'The person an OpenID Connect provider vouches for'"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l upstream -d 'Reach Datadog at this address instead (the Host header is kept)' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l site -d 'The Datadog site, for example datadoghq.eu' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l issuer -d 'The OpenID Connect issuer to sign in with' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l client-id -d 'The public client id of ddgate at the issuer' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l prompt -d 'Whether ddgate may ask the person something' -r -f -a "auto\t'On a terminal, outside CI'
always\t'Always'
never\t'Never: fail at once where an answer would be needed'"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l durability -d 'What an acknowledged record survives: `process` is for throwaway runs' -r -f -a "power-loss\t'A power cut'
process\t'The end of ddgate\'s process, but no power cut'"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l allow -d 'Allow these operations and deny all others; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l deny -d 'Deny these operations, even allowed ones; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l enforce -d 'What the system, which must be Linux, is to hold the command to' -r -f -a "auto\t'As much as this system can; what that is, is said and recorded'
on\t'TCP leads to the gate alone, or the command does not run'
strict\t'The same, and no UDP, so no DNS'
off\t'Nothing'"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l allow-port -d 'Let the command connect to this TCP port itself, on any host; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l egress -d 'Whom the command may reach through the gate beside Datadog' -r -f -a "any\t'Everybody; each connection is recorded: host, bytes, time'
listed\t'The hosts named by --allow-host and by the settings'
datadog-only\t'Nobody but Datadog'"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l allow-host -d 'A host it may reach through the gate, such as *.example.com; may be repeated' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l browser -d 'Sign in with a browser on this machine (authorization code with PKCE)'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l device -d 'Sign in with a code, on any device (the default)'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l no-browser -d 'Open no browser, only show the address'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l qr -d 'Show the address as a QR code as well'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -l read-only -d 'Deny every call that is not a read'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -s q -l quiet -d 'Say nothing unless something is wrong'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand mcp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l speed -d 'Keep the session\'s rhythm, this much faster (pauses last at most 5 s)' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l age-identity -d 'Open sealed contents with the age identities in this file (may be repeated)' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l json -d 'Print one JSON object; with --follow, one a line for every call that has ended, and once more where a result of its tools comes later'
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -s f -l follow -d 'Go on with what a running session records, until it ends or you stop it'
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -l step -d 'Wait for Enter before each call'
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l body -d 'Write the recorded bytes of one body, and nothing else, to standard output' -r -f -a "request\t'What the command sent'
response\t'What Datadog answered'"
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l age-identity -d 'Open sealed contents with the age identities in this file (may be repeated)' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -l json -d 'Print one JSON object'
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l dir -d 'Check this directory, which `export` wrote' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l proof -d 'Check this directory, which `prove` wrote' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l vkey -d 'The key the record must be signed with, or a file that holds it: from elsewhere, not from the record' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l trusted-checkpoint -d 'A signed checkpoint kept elsewhere, which the record must agree with' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l jwks -d 'The identity provider\'s keys (a JSON Web Key Set), got from the provider: fail (exit 2) unless one of them vouches for the person; those the record brings along do not count' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l age-identity -d 'Open sealed contents with the age identities in this file (may be repeated)' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l all -d 'Check every session, and look for ones that were deleted whole'
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l require-bound -d 'Fail (exit 2) unless the session\'s key is provably tied to the person it names'
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -l json -d 'Print one JSON object'
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l format -d 'The format' -r -f -a "tlog\t'A directory of C2SP tiles and checkpoints, with openings and contents'"
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -s o -l output -d 'Write this directory; it must not exist, or be empty' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l age-identity -d 'Open sealed contents with the age identities in this file (may be repeated)' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -l json -d 'Print one JSON object about what was written'
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -s o -l output -d 'Write this directory; it must not exist, or be empty' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -l age-identity -d 'Open sealed contents with the age identities in this file (may be repeated)' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -l json -d 'Print one JSON object about what was written'
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand prove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l limit -d 'Show at most this many' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l age-identity -d 'Open sealed contents with the age identities in this file (may be repeated)' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -l json -d 'Print one JSON array'
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand sessions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -s y -l yes -d 'Do not ask'
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand erase" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l issuer -d 'The OpenID Connect issuer to sign in with' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l client-id -d 'The public client id of ddgate at the issuer' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l browser -d 'Sign in with a browser on this machine (authorization code with PKCE)'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l device -d 'Sign in with a code, on any device (the default)'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l no-browser -d 'Open no browser, only show the address'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l qr -d 'Show the address as a QR code as well'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -l json -d 'Print events, one JSON object a line, instead of the screen; no browser is opened'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -l all -d 'Sign out of every profile, and of none'
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -l all -d 'List every profile'
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -l json -d 'Print one JSON document'
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l identity -d 'Who a session belongs to' -r -f -a "local\t'The operating system\'s user, recorded as unverified'
oidc\t'The person an OpenID Connect provider vouches for'"
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l upstream -d 'Reach Datadog at this address instead (the Host header is kept)' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l site -d 'The Datadog site, for example datadoghq.eu' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l issuer -d 'The OpenID Connect issuer to sign in with' -r -f
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l client-id -d 'The public client id of ddgate at the issuer' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -f -a "set" -d 'Store a key in the system\'s keyring'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -f -a "list" -d 'List which keys there are and where, never their values'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and not __fish_seen_subcommand_from set list rm" -f -a "rm" -d 'Remove a key from the system\'s keyring'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -l credential -d 'For the credential that has `store = "CREDENTIAL"` in the configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON array'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -l credential -d 'Of the credential that has `store = "CREDENTIAL"` in the configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand keys; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand demo" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand demo" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand demo" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand demo" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand demo" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -l json -d 'Print one JSON object'
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand pseudonym" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and not __fish_seen_subcommand_from show" -f -a "show" -d 'Show every setting, its value, and where the value came from'
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON array'
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ddgate -n "__fish_ddgate_using_subcommand completions" -l config -d 'Read this configuration file instead of the user\'s' -r -F
complete -c ddgate -n "__fish_ddgate_using_subcommand completions" -l data-dir -d 'Keep sessions in this directory' -r -f -a "(__fish_complete_directories)"
complete -c ddgate -n "__fish_ddgate_using_subcommand completions" -l profile -d 'Use this profile of the user\'s configuration file' -r
complete -c ddgate -n "__fish_ddgate_using_subcommand completions" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'In files and pipes too'
never\t'Never'"
complete -c ddgate -n "__fish_ddgate_using_subcommand completions" -s v -l verbose -d 'Say more about what is done'
complete -c ddgate -n "__fish_ddgate_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
