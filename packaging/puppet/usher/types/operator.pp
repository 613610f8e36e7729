# @summary Who may look and change: a name, or a name with limits, each of which may be left out.
type Usher::Operator = Variant[
  Usher::Name,
  Struct[{
      name            => Usher::Name,
      Optional[from]  => Array[Usher::Network, 1],
      Optional[units] => Array[Usher::Unit_name, 1],
      Optional[may]   => Array[Enum['restart', 'start', 'stop', 'reboot', 'override'], 1],
      Optional[until] => Usher::Time,
  }]
]
