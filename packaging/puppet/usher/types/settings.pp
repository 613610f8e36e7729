# @summary Keys of agent.toml that are not parameters of their own: `reboot`, `limits`, `operations`, `hold_file` and so on.
#
# A key that is a parameter is refused here, so that each has one place.
type Usher::Settings = Hash[
  Pattern[/\A(?!(tls|allow|deny|units|listen|node|lock_files|socket|sole_control_plane)\z)[a-z][a-z_]*\z/],
  Variant[String, Numeric, Boolean, Array[Data], Hash[String[1], Data]]
]
