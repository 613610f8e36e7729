complete -c usher-agent -l config -d 'The configuration' -r -F
complete -c usher-agent -l check-config -d 'Say what is wrong with the configuration, and exit' -r -f -a "syntax\t'The configuration alone: before certificates and keys are there'
files\t'The configuration, the files that it names, and the state directory'"
complete -c usher-agent -s h -l help -d 'Print help (see more with \'--help\')'
complete -c usher-agent -s V -l version -d 'Print version'
