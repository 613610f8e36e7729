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
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
}

(( $+functions[_usher-agent_commands] )) ||
_usher-agent_commands() {
    local commands; commands=()
    _describe -t commands 'usher-agent commands' commands "$@"
}

if [ "$funcstack[1]" = "_usher-agent" ]; then
    _usher-agent "$@"
else
    compdef _usher-agent usher-agent
fi
