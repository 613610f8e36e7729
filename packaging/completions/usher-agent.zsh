#compdef usher-agent

autoload -U is-at-least

_usher-agent() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--config=[The configuration]:FILE:_files' \
'--check-config=[Say what is wrong with the configuration, and exit]::WHAT:((syntax\:"The configuration alone\: before certificates and keys are there"
files\:"The configuration, the files that it names, and the state directory"))' \
'(--check-config)--descriptor-set[Write the contract as a protobuf FileDescriptorSet to stdout, and exit]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_usher-agent_commands" \
"*::: :->usher-agent" \
&& ret=0
    case $state in
    (usher-agent)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:usher-agent-command-$line[1]:"
        case $line[1] in
            (status)
_arguments "${_arguments_options[@]}" : \
'--socket=[The agent'\''s Unix socket, \`socket\` in its configuration]:PATH:_files' \
'-o+[How to print it]:FORMAT:((text\:"For people"
json\:"One JSON document"))' \
'--output=[How to print it]:FORMAT:((text\:"For people"
json\:"One JSON document"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(request-restart)
_arguments "${_arguments_options[@]}" : \
'-r+[Why\: shown to the operators, and recorded]:TEXT:_default' \
'--reason=[Why\: shown to the operators, and recorded]:TEXT:_default' \
'--timeout=[How long to wait. The request stays when the time is over]:DURATION:_default' \
'--requester=[Who asks, for the records; by default you, as user@host]:NAME:_default' \
'--socket=[The agent'\''s Unix socket, \`socket\` in its configuration]:PATH:_files' \
'--wait[Wait until the unit has been restarted and is well]' \
'--if-sole[If the agent'\''s configuration says that this node is its cluster'\''s only control plane, let the agent restart the unit itself]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':unit -- The unit; .service may be left out:_default' \
&& ret=0
;;
(withdraw-restart)
_arguments "${_arguments_options[@]}" : \
'-r+[Why]:TEXT:_default' \
'--reason=[Why]:TEXT:_default' \
'--requester=[Who asks, for the records; by default you, as user@host]:NAME:_default' \
'--socket=[The agent'\''s Unix socket, \`socket\` in its configuration]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
':unit -- The unit; .service may be left out:_default' \
&& ret=0
;;
(hold)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_usher-agent__subcmd__hold_commands" \
"*::: :->hold" \
&& ret=0

    case $state in
    (hold)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:usher-agent-hold-command-$line[1]:"
        case $line[1] in
            (set)
_arguments "${_arguments_options[@]}" : \
'--owner=[Whose hold it is]:NAME:_default' \
'-r+[Why\: shown to those who are held back]:TEXT:_default' \
'--reason=[Why\: shown to those who are held back]:TEXT:_default' \
'(--until)--for=[How long it lasts; without this and --until, until it is released]:DURATION:_default' \
'--until=[When it ends, as 2026-12-01T08\:00\:00Z]:TIME:_default' \
'--requester=[Who asks, for the records; by default you, as user@host]:NAME:_default' \
'--socket=[The agent'\''s Unix socket, \`socket\` in its configuration]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(release)
_arguments "${_arguments_options[@]}" : \
'--owner=[Whose hold it is]:NAME:_default' \
'--requester=[Who asks, for the records; by default you, as user@host]:NAME:_default' \
'--socket=[The agent'\''s Unix socket, \`socket\` in its configuration]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_usher-agent__subcmd__hold__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:usher-agent-hold-help-command-$line[1]:"
        case $line[1] in
            (set)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(release)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_usher-agent__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:usher-agent-help-command-$line[1]:"
        case $line[1] in
            (status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(request-restart)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(withdraw-restart)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(hold)
_arguments "${_arguments_options[@]}" : \
":: :_usher-agent__subcmd__help__subcmd__hold_commands" \
"*::: :->hold" \
&& ret=0

    case $state in
    (hold)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:usher-agent-help-hold-command-$line[1]:"
        case $line[1] in
            (set)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(release)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_usher-agent_commands] )) ||
_usher-agent_commands() {
    local commands; commands=(
'status:Show what the agent says of this node' \
'request-restart:Ask for the restart of a unit, to be done under the cluster'\''s lock' \
'withdraw-restart:Take back all requests to restart a unit' \
'hold:Hold the node back\: neither restarts nor a reboot through the agent' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'usher-agent commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help_commands] )) ||
_usher-agent__subcmd__help_commands() {
    local commands; commands=(
'status:Show what the agent says of this node' \
'request-restart:Ask for the restart of a unit, to be done under the cluster'\''s lock' \
'withdraw-restart:Take back all requests to restart a unit' \
'hold:Hold the node back\: neither restarts nor a reboot through the agent' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'usher-agent help commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__help_commands] )) ||
_usher-agent__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent help help commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__hold_commands] )) ||
_usher-agent__subcmd__help__subcmd__hold_commands() {
    local commands; commands=(
'set:Hold the node in an owner'\''s name. It replaces the owner'\''s hold, and no other' \
'release:End an owner'\''s hold' \
    )
    _describe -t commands 'usher-agent help hold commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__hold__subcmd__release_commands] )) ||
_usher-agent__subcmd__help__subcmd__hold__subcmd__release_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent help hold release commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__hold__subcmd__set_commands] )) ||
_usher-agent__subcmd__help__subcmd__hold__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent help hold set commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__request-restart_commands] )) ||
_usher-agent__subcmd__help__subcmd__request-restart_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent help request-restart commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__status_commands] )) ||
_usher-agent__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent help status commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__help__subcmd__withdraw-restart_commands] )) ||
_usher-agent__subcmd__help__subcmd__withdraw-restart_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent help withdraw-restart commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold_commands] )) ||
_usher-agent__subcmd__hold_commands() {
    local commands; commands=(
'set:Hold the node in an owner'\''s name. It replaces the owner'\''s hold, and no other' \
'release:End an owner'\''s hold' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'usher-agent hold commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold__subcmd__help_commands] )) ||
_usher-agent__subcmd__hold__subcmd__help_commands() {
    local commands; commands=(
'set:Hold the node in an owner'\''s name. It replaces the owner'\''s hold, and no other' \
'release:End an owner'\''s hold' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'usher-agent hold help commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold__subcmd__help__subcmd__help_commands] )) ||
_usher-agent__subcmd__hold__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent hold help help commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold__subcmd__help__subcmd__release_commands] )) ||
_usher-agent__subcmd__hold__subcmd__help__subcmd__release_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent hold help release commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold__subcmd__help__subcmd__set_commands] )) ||
_usher-agent__subcmd__hold__subcmd__help__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent hold help set commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold__subcmd__release_commands] )) ||
_usher-agent__subcmd__hold__subcmd__release_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent hold release commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__hold__subcmd__set_commands] )) ||
_usher-agent__subcmd__hold__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent hold set commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__request-restart_commands] )) ||
_usher-agent__subcmd__request-restart_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent request-restart commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__status_commands] )) ||
_usher-agent__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent status commands' commands "$@"
}
(( $+functions[_usher-agent__subcmd__withdraw-restart_commands] )) ||
_usher-agent__subcmd__withdraw-restart_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent withdraw-restart commands' commands "$@"
}

if [ "$funcstack[1]" = "_usher-agent" ]; then
    _usher-agent "$@"
else
    compdef _usher-agent usher-agent
fi
