# @summary Who may look: a name, or a name with where it must call from and until when.
type Usher::Viewer = Variant[
  Usher::Name,
  Struct[{
      name            => Usher::Name,
      Optional[from]  => Array[Usher::Network, 1],
      Optional[until] => Usher::Time,
  }]
]
