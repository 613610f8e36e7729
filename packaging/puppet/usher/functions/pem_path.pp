# @summary Where a PEM file is: where something else keeps it, or where the module puts it.
# @api private
# @param pem The file.
# @param path Where the module puts it.
# @return [Usher::Path] Its path.
function usher::pem_path(Usher::Pem $pem, Usher::Path $path) >> Usher::Path {
  $pem ? {
    Struct[{ path => Usher::Path }] => $pem['path'],
    default                         => $path,
  }
}
