# @summary The name of a cluster, which is also that of its file in `clusters.d`. Files that begin with `_` describe none.
type Usher::Cluster_name = Pattern[/\A[A-Za-z0-9][A-Za-z0-9_.-]*\z/]
