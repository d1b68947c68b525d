
use builtin;
use str;

set edit:completion:arg-completer[ddgate] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'ddgate'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'ddgate'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Run a command behind the gate'
            cand mcp 'Run an MCP server behind the gate, and record the tools that are called'
            cand replay 'Show a session as a timeline'
            cand show 'Show one call of a session in full'
            cand verify 'Check that a session''s record is what was signed'
            cand export 'Write a session out in published formats'
            cand prove 'Write out one call with a proof that it is in the session''s log'
            cand sessions 'List the sessions on this machine, the latest first'
            cand erase 'Erase what a session holds, and keep the proof of what happened'
            cand login 'Sign in'
            cand logout 'Sign out, here and at the identity provider'
            cand status 'Show who is signed in, which keys there are, and where things are kept'
            cand keys 'Hand the gate the Datadog keys it is to hold'
            cand demo 'See it work against a pretend Datadog, without account or network'
            cand pseudonym 'Print the pseudonym that stands in the record for a value'
            cand config 'Look at the configuration'
            cand completions 'Print a completion script for a shell'
        }
        &'ddgate;run'= {
            cand --identity 'Who the session belongs to'
            cand --upstream 'Send every Datadog call to this address instead (the Host header is kept)'
            cand --site 'The Datadog site, for example datadoghq.eu'
            cand --issuer 'The OpenID Connect issuer to sign in with'
            cand --client-id 'The public client id of ddgate at the issuer'
            cand --prompt 'Whether ddgate may ask the person something'
            cand --durability 'What an acknowledged record survives: `process` is for throwaway runs'
            cand --allow 'Allow these operations and deny all others; may be repeated'
            cand --deny 'Deny these operations, even allowed ones; may be repeated'
            cand --enforce 'What the system, which must be Linux, is to hold the command to'
            cand --allow-port 'Let the command connect to this TCP port itself, on any host; may be repeated'
            cand --egress 'Whom the command may reach through the gate beside Datadog'
            cand --allow-host 'A host it may reach through the gate, such as *.example.com; may be repeated'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --read-only 'Deny every call that is not a read'
            cand -q 'Say nothing unless something is wrong'
            cand --quiet 'Say nothing unless something is wrong'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;mcp'= {
            cand --identity 'Who the session belongs to'
            cand --upstream 'Send every Datadog call to this address instead (the Host header is kept)'
            cand --site 'The Datadog site, for example datadoghq.eu'
            cand --issuer 'The OpenID Connect issuer to sign in with'
            cand --client-id 'The public client id of ddgate at the issuer'
            cand --prompt 'Whether ddgate may ask the person something'
            cand --durability 'What an acknowledged record survives: `process` is for throwaway runs'
            cand --allow 'Allow these operations and deny all others; may be repeated'
            cand --deny 'Deny these operations, even allowed ones; may be repeated'
            cand --enforce 'What the system, which must be Linux, is to hold the command to'
            cand --allow-port 'Let the command connect to this TCP port itself, on any host; may be repeated'
            cand --egress 'Whom the command may reach through the gate beside Datadog'
            cand --allow-host 'A host it may reach through the gate, such as *.example.com; may be repeated'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --read-only 'Deny every call that is not a read'
            cand -q 'Say nothing unless something is wrong'
            cand --quiet 'Say nothing unless something is wrong'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;replay'= {
            cand --speed 'Keep the session''s rhythm, this much faster (pauses last at most 5 s)'
            cand --age-identity 'Open sealed contents with the age identities in this file (may be repeated)'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON object; with --follow, one a line for every call that has ended'
            cand -f 'Go on with what a running session records, until it ends or you stop it'
            cand --follow 'Go on with what a running session records, until it ends or you stop it'
            cand --step 'Wait for Enter before each call'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;show'= {
            cand --body 'Write the recorded bytes of one body, and nothing else, to standard output'
            cand --age-identity 'Open sealed contents with the age identities in this file (may be repeated)'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON object'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;verify'= {
            cand --dir 'Check this directory, which `export` wrote'
            cand --proof 'Check this directory, which `prove` wrote'
            cand --vkey 'The key the record must be signed with, or a file that holds it: from elsewhere, not from the record'
            cand --trusted-checkpoint 'A signed checkpoint kept elsewhere, which the record must agree with'
            cand --age-identity 'Open sealed contents with the age identities in this file (may be repeated)'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --all 'Check every session, and look for ones that were deleted whole'
            cand --require-bound 'Fail (exit 2) unless the session''s key is provably tied to the person it names'
            cand --json 'Print one JSON object'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;export'= {
            cand --format 'The format'
            cand -o 'Write this directory; it must not exist, or be empty'
            cand --output 'Write this directory; it must not exist, or be empty'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON object about what was written'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;prove'= {
            cand -o 'Write this directory; it must not exist, or be empty'
            cand --output 'Write this directory; it must not exist, or be empty'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON object about what was written'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;sessions'= {
            cand --limit 'Show at most this many'
            cand --age-identity 'Open sealed contents with the age identities in this file (may be repeated)'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON array'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;erase'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -y 'Do not ask'
            cand --yes 'Do not ask'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;login'= {
            cand --issuer 'The OpenID Connect issuer to sign in with'
            cand --client-id 'The public client id of ddgate at the issuer'
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;logout'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;status'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON object'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;keys'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand set 'Store a key in the system''s keyring'
            cand list 'List which keys there are and where, never their values'
            cand rm 'Remove a key from the system''s keyring'
        }
        &'ddgate;keys;set'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;keys;list'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON array'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;keys;rm'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;demo'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;pseudonym'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON object'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;config'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand show 'Show every setting, its value, and where the value came from'
        }
        &'ddgate;config;show'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand --json 'Print one JSON array'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ddgate;completions'= {
            cand --config 'Read this configuration file instead of the user''s'
            cand --data-dir 'Keep sessions in this directory'
            cand --color 'When to colour'
            cand -v 'Say more about what is done'
            cand --verbose 'Say more about what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
    ]
    $completions[$command]
}
