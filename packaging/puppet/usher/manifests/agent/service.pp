# @summary The agent's service: enabled, running, and reloaded rather than restarted.
# @api private
class usher::agent::service {
  unless $caller_module_name == $module_name {
    fail("${name} is private to the module ${module_name}; include usher::agent")
  }

  service { 'usher-agent':
    ensure  => running,
    enable  => true,
    # What Puppet does when something notifies the service. A restart could come in the middle of an operation.
    restart => '/usr/bin/systemctl reload usher-agent.service',
  }
}
