# @summary Installs the command line `usher` and describes the clusters that it works on.
#
# Each cluster is a file in `/etc/usher/clusters.d`; `_common.toml` beside them has what all share, and `_staging.toml` how the
# active one of two staging clusters is switched. Their keys are those of `docs/reference/cluster-file.md` and
# `docs/reference/staging-file.md`.
#
# A file is right or wrong only together with `_common.toml`, so Puppet checks none of them by itself. usher names a mistake with
# its file and line, and does not use the cluster whose file has one: run `usher config check` after a change.
#
# @example Two clusters with one form of addresses
#   class { 'usher::coordinator':
#     common   => {
#       'api'    => { 'kubeconfig' => '/etc/kubernetes/{user}-{cluster}.config' },
#       'agents' => { 'address' => '{node}.example.org:7470' },
#     },
#     clusters => {
#       'eqiad' => { 'control_plane' => { 'machines' => ['cp1001', 'cp1002', 'cp1003'] } },
#       'codfw' => { 'control_plane' => { 'machines' => ['cp2001', 'cp2002', 'cp2003'] } },
#     },
#     group    => 'ops',
#   }
#
# @param clusters
#   The clusters by name. Default: none.
# @param common
#   What all clusters share. A key of a cluster's own wins. Default: nothing.
# @param staging
#   The pair of staging clusters and the steps of a switch. Default: none.
# @param identity
#   The certificate that usher shows to agents, its key, and the CA that signs agents' certificates. Their paths become
#   `[agents]` in `_common.toml`, where `common` does not say otherwise. The certificate must be good for `clientAuth`.
#   Default: none; usher's own paths, or those in `common`, hold.
# @param group
#   Whose members may read the key that the module writes, beside root. The agent's user must not be one. Default: `root`.
# @param purge_clusters
#   Whether files in `clusters.d` that the module does not know are removed, so that a cluster that is no longer described
#   is gone. Default: true.
# @param manage_package
#   Whether the module installs the package. Default: true.
# @param package_name
#   The package. Default: `usher`.
# @param package_ensure
#   Its version, or `installed`, or `latest`. Default: `installed`.
class usher::coordinator (
  Hash[Usher::Cluster_name, Usher::Cluster] $clusters,
  Usher::Cluster $common,
  Optional[Usher::Cluster] $staging,
  Optional[Usher::Identity] $identity,
  String[1] $group,
  Boolean $purge_clusters,
  Boolean $manage_package,
  String[1] $package_name,
  String[1] $package_ensure,
) {
  include usher

  contain usher::coordinator::install
  contain usher::coordinator::config

  Class['usher::coordinator::install'] -> Class['usher::coordinator::config']
}
