# @summary The agent's package.
# @api private
class usher::agent::install {
  unless $caller_module_name == $module_name {
    fail("${name} is private to the module ${module_name}; include usher::agent")
  }

  if $usher::agent::manage_package {
    package { $usher::agent::package_name:
      ensure => $usher::agent::package_ensure,
    }
  }
}
