# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_usher_agent_global_optspecs
    string join \n config= check-config= descriptor-set h/help V/version
end

function __fish_usher_agent_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_usher_agent_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_usher_agent_using_subcommand
    set -l cmd (__fish_usher_agent_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c usher-agent -n "__fish_usher_agent_needs_command" -l config -d 'The configuration' -r -F
complete -c usher-agent -n "__fish_usher_agent_needs_command" -l check-config -d 'Say what is wrong with the configuration, and exit' -r -f -a "syntax\t'The configuration alone: before certificates and keys are there'
files\t'The configuration, the files that it names, and the state directory'"
complete -c usher-agent -n "__fish_usher_agent_needs_command" -l descriptor-set -d 'Write the contract as a protobuf FileDescriptorSet to stdout, and exit'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -s V -l version -d 'Print version'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -f -a "status" -d 'Show what the agent says of this node'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -f -a "request-restart" -d 'Ask for the restart of a unit, to be done under the cluster\'s lock'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -f -a "withdraw-restart" -d 'Take back all requests to restart a unit'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -f -a "hold" -d 'Hold the node back: neither restarts nor a reboot through the agent'
complete -c usher-agent -n "__fish_usher_agent_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand status" -l socket -d 'The agent\'s Unix socket, `socket` in its configuration' -r -F
complete -c usher-agent -n "__fish_usher_agent_using_subcommand status" -s o -l output -d 'How to print it' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c usher-agent -n "__fish_usher_agent_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -s r -l reason -d 'Why: shown to the operators, and recorded' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -l timeout -d 'How long to wait. The request stays when the time is over' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -l requester -d 'Who asks, for the records; by default you, as user@host' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -l socket -d 'The agent\'s Unix socket, `socket` in its configuration' -r -F
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -l wait -d 'Wait until the unit has been restarted and is well'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -l if-sole -d 'If the agent\'s configuration says that this node is its cluster\'s only control plane, let the agent restart the unit itself'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand request-restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand withdraw-restart" -s r -l reason -d 'Why' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand withdraw-restart" -l requester -d 'Who asks, for the records; by default you, as user@host' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand withdraw-restart" -l socket -d 'The agent\'s Unix socket, `socket` in its configuration' -r -F
complete -c usher-agent -n "__fish_usher_agent_using_subcommand withdraw-restart" -s h -l help -d 'Print help'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and not __fish_seen_subcommand_from set release help" -s h -l help -d 'Print help'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and not __fish_seen_subcommand_from set release help" -f -a "set" -d 'Hold the node in an owner\'s name. It replaces the owner\'s hold, and no other'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and not __fish_seen_subcommand_from set release help" -f -a "release" -d 'End an owner\'s hold'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and not __fish_seen_subcommand_from set release help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -l owner -d 'Whose hold it is' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -s r -l reason -d 'Why: shown to those who are held back' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -l for -d 'How long it lasts; without this and --until, until it is released' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -l until -d 'When it ends, as 2026-12-01T08:00:00Z' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -l requester -d 'Who asks, for the records; by default you, as user@host' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -l socket -d 'The agent\'s Unix socket, `socket` in its configuration' -r -F
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from release" -l owner -d 'Whose hold it is' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from release" -l requester -d 'Who asks, for the records; by default you, as user@host' -r
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from release" -l socket -d 'The agent\'s Unix socket, `socket` in its configuration' -r -F
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "set" -d 'Hold the node in an owner\'s name. It replaces the owner\'s hold, and no other'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "release" -d 'End an owner\'s hold'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and not __fish_seen_subcommand_from status request-restart withdraw-restart hold help" -f -a "status" -d 'Show what the agent says of this node'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and not __fish_seen_subcommand_from status request-restart withdraw-restart hold help" -f -a "request-restart" -d 'Ask for the restart of a unit, to be done under the cluster\'s lock'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and not __fish_seen_subcommand_from status request-restart withdraw-restart hold help" -f -a "withdraw-restart" -d 'Take back all requests to restart a unit'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and not __fish_seen_subcommand_from status request-restart withdraw-restart hold help" -f -a "hold" -d 'Hold the node back: neither restarts nor a reboot through the agent'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and not __fish_seen_subcommand_from status request-restart withdraw-restart hold help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and __fish_seen_subcommand_from hold" -f -a "set" -d 'Hold the node in an owner\'s name. It replaces the owner\'s hold, and no other'
complete -c usher-agent -n "__fish_usher_agent_using_subcommand help; and __fish_seen_subcommand_from hold" -f -a "release" -d 'End an owner\'s hold'
