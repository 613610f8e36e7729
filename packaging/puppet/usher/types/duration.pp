# @summary A duration as usher's files have it: `10s`, `5m`, `1h30m`, `90d`.
type Usher::Duration = Pattern[/\A(\d+(ms|s|m|h|d|w) ?)+\z/]
