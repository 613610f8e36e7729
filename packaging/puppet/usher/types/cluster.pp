# @summary A cluster file: the keys of `docs/reference/cluster-file.md`, as a hash.
type Usher::Cluster = Hash[String[1], Data]
