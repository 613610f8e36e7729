# @summary What the agent and the command line share on a host: their folder.
#
# Include `usher::agent` on the machines of a cluster, `usher::coordinator` where operators work. Both bring this class along.
#
# @param puppet_ssldir
#   Where Puppet keeps the host's certificates, for the identity `puppet`. Default: `/var/lib/puppet/ssl`, which is Debian's.
class usher (
  Usher::Path $puppet_ssldir,
) {
  # Operators who are nobody special read cluster files here; what is secret is protected file by file.
  file { '/etc/usher':
    ensure => directory,
    owner  => 'root',
    group  => 'root',
    mode   => '0755',
  }
}
