# @summary The files of the command line: certificates and clusters.
# @api private
class usher::coordinator::config {
  unless $caller_module_name == $module_name {
    fail("${name} is private to the module ${module_name}; include usher::coordinator")
  }

  if $usher::coordinator::identity {
    $identity = usher::identity($usher::coordinator::identity)
    # In a folder of their own, which the agent on the same machine cannot enter.
    $folder = '/etc/usher/coordinator'
    file { $folder:
      ensure => directory,
      owner  => 'root',
      group  => $usher::coordinator::group,
      mode   => '0750',
    }
    # By their keys in a cluster file.
    $files = {
      'certificate' => { 'pem' => $identity['certificate'], 'path' => "${folder}/client.pem" },
      'key'         => { 'pem' => $identity['key'], 'path' => "${folder}/client-key.pem" },
      'ca'          => { 'pem' => $identity['ca'], 'path' => "${folder}/agents-ca.pem" },
    }
    $files.each |$key, $file| {
      usher::pem_file { "coordinator ${key}":
        group => $usher::coordinator::group,
        mode  => '0440',
        *     => $file,
      }
    }
    $agents = $files.reduce({}) |$paths, $entry| {
      $paths + { $entry[0] => usher::pem_path($entry[1]['pem'], $entry[1]['path']) }
    }
    $own = $usher::coordinator::common['agents'] ? {
      undef   => {},
      default => $usher::coordinator::common['agents'],
    }
    $common = $usher::coordinator::common + { 'agents' => $agents + $own }
  } else {
    $common = $usher::coordinator::common
  }

  file { '/etc/usher/clusters.d':
    ensure  => directory,
    owner   => 'root',
    group   => 'root',
    mode    => '0755',
    recurse => $usher::coordinator::purge_clusters,
    purge   => $usher::coordinator::purge_clusters,
  }

  $files_of_clusters = { 'ensure' => file, 'owner' => 'root', 'group' => 'root', 'mode' => '0644' }
  ({ '_common' => $common } + $usher::coordinator::clusters).each |$cluster, $document| {
    file { "/etc/usher/clusters.d/${cluster}.toml":
      content => epp('usher/cluster.toml.epp', { 'document' => $document }),
      *       => $files_of_clusters,
    }
  }
  if $usher::coordinator::staging {
    file { '/etc/usher/clusters.d/_staging.toml':
      content => epp('usher/cluster.toml.epp', { 'document' => $usher::coordinator::staging }),
      *       => $files_of_clusters,
    }
  }
}
