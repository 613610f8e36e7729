# @summary A PEM file, unless something else writes it.
# @api private
# @param pem Where it comes from.
# @param path Where it goes.
# @param group Who may read it beside root.
# @param mode Its permissions.
define usher::pem_file (
  Usher::Pem $pem,
  Usher::Path $path,
  String[1] $group,
  Pattern[/\A04[04][04]\z/] $mode,
) {
  unless 'path' in $pem {
    file { $path:
      ensure    => file,
      owner     => 'root',
      group     => $group,
      mode      => $mode,
      content   => $pem['content'],
      source    => $pem['source'],
      links     => follow,
      # Neither a report nor the filebucket is a place for a key.
      show_diff => false,
      backup    => false,
    }
  }
}
