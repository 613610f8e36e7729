# @summary The agent's files: certificates, agent.toml, polkit's rule.
# @api private
class usher::agent::config {
  unless $caller_module_name == $module_name {
    fail("${name} is private to the module ${module_name}; include usher::agent")
  }

  $group = 'usher-agent'
  $identity = usher::identity($usher::agent::identity)
  $client_crl = $usher::agent::client_crl ? {
    undef   => {},
    default => { 'client_crl' => { 'pem' => $usher::agent::client_crl, 'path' => '/etc/usher/callers.crl', 'mode' => '0444' } },
  }
  # By their keys in agent.toml. The CA is not /etc/usher/ca.pem: that is where usher looks for the CA of agents, and the two
  # had better differ.
  $files = {
    'certificate' => { 'pem' => $identity['certificate'], 'path' => '/etc/usher/agent.pem', 'mode' => '0444' },
    'key'         => { 'pem' => $identity['key'], 'path' => '/etc/usher/agent-key.pem', 'mode' => '0440' },
    'client_ca'   => { 'pem' => $identity['ca'], 'path' => '/etc/usher/callers-ca.pem', 'mode' => '0444' },
  } + $client_crl

  $files.each |$key, $file| {
    usher::pem_file { "agent ${key}":
      group  => $group,
      # A check of the new configuration may look at them.
      before => File['/etc/usher/agent.toml'],
      *      => $file,
    }
  }
  $tls = $files.reduce({}) |$paths, $entry| {
    $paths + { $entry[0] => usher::pem_path($entry[1]['pem'], $entry[1]['path']) }
  }

  # Older agents do not know the table.
  $deny = $usher::agent::denied_fingerprints ? {
    []      => {},
    default => { 'deny' => { 'fingerprints' => $usher::agent::denied_fingerprints } },
  }
  # Older agents do not know these keys either: they are written where they say something.
  $local = {
    'socket'             => $usher::agent::socket,
    'sole_control_plane' => $usher::agent::sole_control_plane ? {
      true    => true,
      default => undef,
    },
  }.filter |$entry| { $entry[1] =~ NotUndef }
  $document = {
    'listen'     => $usher::agent::listen,
    'node'       => $usher::agent::node_name,
    'lock_files' => $usher::agent::lock_files,
  } + $local + {
    'tls'        => $tls,
    'allow'      => {
      'viewer'   => $usher::agent::viewers.map |$caller| { usher::grant($caller) },
      'operator' => $usher::agent::operators.map |$caller| { usher::grant($caller) },
    },
  } + $deny + $usher::agent::settings + { 'units' => $usher::agent::units }

  file { '/etc/usher/agent.toml':
    ensure       => file,
    owner        => 'root',
    group        => $group,
    mode         => '0440',
    content      => epp('usher/agent.toml.epp', { 'document' => $document }),
    validate_cmd => $usher::agent::validate_command,
  }

  # polkit asks this rule before the one of the same name that the package brings; the first that decides wins. The folder is
  # polkit's, and polkit reads it again by itself.
  file { '/etc/polkit-1/rules.d/50-usher-agent.rules':
    ensure  => file,
    owner   => 'root',
    group   => 'root',
    mode    => '0644',
    content => epp('usher/50-usher-agent.rules.epp', { 'units' => $usher::agent::units.keys }),
  }
}
