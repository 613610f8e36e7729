# @summary The package of the command line.
# @api private
class usher::coordinator::install {
  unless $caller_module_name == $module_name {
    fail("${name} is private to the module ${module_name}; include usher::coordinator")
  }

  if $usher::coordinator::manage_package {
    package { $usher::coordinator::package_name:
      ensure => $usher::coordinator::package_ensure,
    }
  }
}
