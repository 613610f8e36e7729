# @summary What the agent knows of a unit; the keys of `[units.UNIT]` in agent.toml.
type Usher::Unit = Struct[{
    Optional[job_timeout] => Usher::Duration,
    Optional[probe]       => Usher::Probe,
}]
