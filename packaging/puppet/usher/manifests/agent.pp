# @summary Installs and configures usher's node agent, and keeps it running. Puppet never restarts it.
#
# One list of units makes both the agent's own list and polkit's rule, so that the two agree. A changed file makes the agent read
# its configuration again (`systemctl reload`), which leaves its process and what it is doing alone. A configuration that the
# agent would not accept never replaces the one that it has: the run fails instead.
#
# Packages notify nothing: how an agent gets to its new version is the package's business and the agent's own.
#
# @example A machine of the control plane, with certificates by the Puppet CA
#   class { 'usher::agent':
#     units     => {
#       'kube-scheduler.service' => {
#         'probe' => { 'url' => 'https://127.0.0.1:10259/readyz', 'verify' => false },
#       },
#     },
#     operators => ['CN=cumin1001.example.org'],
#   }
#
# @example Certificates that something else writes and renews
#   class { 'usher::agent':
#     identity => {
#       'certificate' => { 'path' => '/etc/usher/pki/agent.chained.pem' },
#       'key'         => { 'path' => '/etc/usher/pki/agent-key.pem' },
#       'ca'          => { 'path' => '/etc/ssl/certs/usher-callers.pem' },
#     },
#   }
#
# @param identity
#   The agent's certificate with its intermediates, its key, and the CA that signs callers' certificates. The certificate must
#   carry the node's name as a DNS name and be good for `serverAuth`. A key that the module writes is 0440 root:usher-agent.
#   Default: `puppet`, the host's own certificate by the Puppet CA; then every host of the site has a certificate of the
#   callers' CA, and `operators` and `viewers` alone keep them out.
# @param client_crl
#   Revocation lists of the callers' CA. Default: none.
# @param units
#   The units that usher may restart, start and stop, each with how it is probed. Default: none.
# @param operators
#   Who may look and change: names in certificates, each alone or with limits. Default: nobody.
# @param viewers
#   Who may look. Default: nobody.
# @param denied_fingerprints
#   Certificates that nobody may use any more, whatever names they carry. Default: none.
# @param listen
#   Where the agent listens: address and port. Default: the agent's own, `[::]:7470`.
# @param node_name
#   The node's name as Kubernetes knows it. Default: the host name.
# @param socket
#   The Unix socket on which root on the machine asks for restarts and holds, `usher-agent request-restart` for example. Its folder
#   must exist. Default: the agent's own, `/run/usher-agent/agent.sock`.
# @param sole_control_plane
#   Whether this machine is its cluster's only control plane: the agent itself then carries out what
#   `usher-agent request-restart --if-sole` asks for. With a second one, two could restart at once. Default: false.
# @param lock_files
#   Files that exist while configuration management runs or is disabled; the node's status tells of those that exist. The agent
#   must be able to see them: each folder above needs to be open (`x`) to its user. Default: those of Debian's Puppet in
#   `/var/cache/puppet/state`.
# @param settings
#   Further keys of agent.toml, such as `{ 'reboot' => { 'budget_per_day' => 2 } }`. Default: none.
# @param validate_command
#   What must succeed before a new agent.toml replaces the old one; `%` is the new file. Default: the agent's own check of keys
#   and values, which opens no certificate, so that files may come in any order. `undef` checks nothing.
# @param manage_package
#   Whether the module installs the package. Without, the program, its unit and its user must be there before. Default: true.
# @param package_name
#   The package. Default: `usher-agent`.
# @param package_ensure
#   Its version, or `installed`, or `latest`. Default: `installed`.
class usher::agent (
  Usher::Identity $identity,
  Optional[Usher::Pem] $client_crl,
  Hash[Usher::Unit_name, Usher::Unit] $units,
  Array[Usher::Operator] $operators,
  Array[Usher::Viewer] $viewers,
  Array[Usher::Fingerprint] $denied_fingerprints,
  Optional[Pattern[/\A\S+:\d+\z/]] $listen,
  Optional[String[1]] $node_name,
  Optional[Usher::Path] $socket,
  Boolean $sole_control_plane,
  Array[Usher::Path] $lock_files,
  Usher::Settings $settings,
  Optional[Pattern[/%/]] $validate_command,
  Boolean $manage_package,
  String[1] $package_name,
  String[1] $package_ensure,
) {
  include usher

  contain usher::agent::install
  contain usher::agent::config
  contain usher::agent::service

  # Order without notification from the package: an upgrade restarts nothing.
  Class['usher::agent::install'] -> Class['usher::agent::config'] ~> Class['usher::agent::service']
}
