# @summary How a unit says that it is healthy; the keys of `[units.UNIT.probe]` in agent.toml.
type Usher::Probe = Struct[{
    url                    => Usher::Https_url,
    Optional[fallback_url] => Usher::Https_url,
    Optional[ca]           => Usher::Path,
    Optional[verify]       => Boolean,
    Optional[certificate]  => Usher::Path,
    Optional[key]          => Usher::Path,
    Optional[token_file]   => Usher::Path,
    Optional[server_name]  => String[1],
    Optional[status]       => Integer[100, 599],
    Optional[successes]    => Integer[1],
    Optional[interval]     => Usher::Duration,
    Optional[timeout]      => Usher::Duration,
    Optional[deadline]     => Usher::Duration,
}]
